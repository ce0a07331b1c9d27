// DO NOT EDIT: written from host/wit by `node host/scripts/generate-types.js`.
/** @module Interface wirelet:control/host@1.0.0 **/
/**
 * One line of UTF-8; longer ones are cut, too many are counted.
 */
export declare function log(line: string): void;
