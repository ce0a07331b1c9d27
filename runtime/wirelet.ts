// The imports of a program, all that a module may ask of the engine. asc names the module of an
// import after the file that declares it: this file's name is part of the ABI.
// Addresses are bytes in linear memory; the engine checks them before it reads.

/** Writes one line of UTF-8 to the appliance's log; bytes past 256 are cut. */
export declare function log(address: u32, bytes: u32): void;

/** The address of the u64 that is the counter of this name, on this lcore. While loading only. */
export declare function counter(name: u32, bytes: u32): u32;

/** The entry of the table that the spec at `spec` describes. While loading only. */
export declare function table(spec: u32, bytes: u32): u32;

/**
 * Ends the call with a fault; never returns. asc calls it for `throw`, failed `assert`s and array
 * bounds, and authors may: `abort('no gateway')`. What is left out is 0.
 */
export declare function abort(
  message?: string | null,
  file?: string | null,
  line?: u32,
  column?: u32,
): void;
