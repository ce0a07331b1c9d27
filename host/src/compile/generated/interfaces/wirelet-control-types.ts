// DO NOT EDIT: written from host/wit by `node host/scripts/generate-types.js`.
/** @module Interface wirelet:control/types@1.0.0 **/
/**
 * Which packets must meet on one lcore.
 * # Variants
 * 
 * ## `"none"`
 * 
 * Any packet anywhere.
 * ## `"flow"`
 * 
 * Packets of one direction of a flow.
 * ## `"symmetric"`
 * 
 * Packets of both directions of a flow.
 */
export type Affinity = 'none' | 'flow' | 'symmetric';
/**
 * A kind of table: native/abi/src/table.rs.
 * # Variants
 * 
 * ## `"hash"`
 * 
 * ## `"lru"`
 * 
 * ## `"lpm4"`
 * 
 * ## `"lpm6"`
 * 
 * ## `"array"`
 */
export type TableKind = 'hash' | 'lru' | 'lpm4' | 'lpm6' | 'array';
/**
 * A table that a program opens, as far as its text says.
 */
export interface Table {
  name: string,
  kind: TableKind,
  /**
   * One for all lcores, written by the host.
   */
  shared: boolean,
  capacity?: number,
  /**
   * Names of types.
   */
  keyType?: string,
  valueType?: string,
}
/**
 * The fields of a type that a table has as key or value.
 */
export interface TableType {
  name: string,
  /**
   * `source:u32@0,port:u16@4`: field, type, offset in bytes.
   */
  layout: string,
}
/**
 * What a module says about itself: the custom section `wirelet.manifest`, as JSON.
 */
export interface Manifest {
  name: string,
  version: string,
  /**
   * Version of the guest ABI that it was built for.
   */
  abi: number,
  /**
   * `onPacket` or `onBurst`: what the author exports.
   */
  entry: string,
  affinity: Affinity,
  /**
   * Names of its counters, where the build knows them.
   */
  counters: Array<string>,
  /**
   * Its tables, where the build knows them.
   */
  tables: Array<Table>,
  /**
   * Fields of the types of their keys and values.
   */
  tableTypes: Array<TableType>,
  /**
   * SHA-256 of the source map.
   */
  sourceMap?: string,
  /**
   * The compiler and its version.
   */
  compiler: string,
  /**
   * SHA-256 of everything that the build read.
   */
  inputs: string,
}
/**
 * A value on a program's settings page.
 */
export type SettingValue = SettingValueNumber | SettingValueBoolean | SettingValueText | SettingValueTexts | SettingValueNumbers;
export interface SettingValueNumber {
  tag: 'number',
  val: number,
}
export interface SettingValueBoolean {
  tag: 'boolean',
  val: boolean,
}
export interface SettingValueText {
  tag: 'text',
  val: string,
}
export interface SettingValueTexts {
  tag: 'texts',
  val: Array<string>,
}
export interface SettingValueNumbers {
  tag: 'numbers',
  val: Float64Array,
}
export interface Setting {
  name: string,
  value: SettingValue,
}
export interface Counter {
  name: string,
  value: bigint,
}
/**
 * A program's block of the counters page, summed over lcores.
 */
export interface Statistics {
  bursts: bigint,
  packets: bigint,
  cycles: bigint,
  faults: bigint,
  counters: Array<Counter>,
}
