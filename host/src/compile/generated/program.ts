// DO NOT EDIT: written from host/wit by `node host/scripts/generate-types.js`.
// world wirelet:control/program@1.0.0
export type * as WireletControlHost100 from './interfaces/wirelet-control-host.js'; // import wirelet:control/host@1.0.0
export type * as WireletControlTypes100 from './interfaces/wirelet-control-types.js'; // import wirelet:control/types@1.0.0
export * as control from './interfaces/wirelet-control-control.js'; // export wirelet:control/control@1.0.0
