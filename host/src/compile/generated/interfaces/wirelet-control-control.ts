// DO NOT EDIT: written from host/wit by `node host/scripts/generate-types.js`.
/** @module Interface wirelet:control/control@1.0.0 **/
/**
 * Takes the settings, before `onLoad`; the error says why not.
 */
export declare function configure(settings: Array<Setting>): void;
export declare function describe(): Manifest;
export declare function stats(): Statistics;
export type Manifest = import('./wirelet-control-types.js').Manifest;
export type Setting = import('./wirelet-control-types.js').Setting;
export type Statistics = import('./wirelet-control-types.js').Statistics;
