/**
 * Wirelet: sandboxed packet programs on native lcores.
 *
 * ```ts
 * const { config, directory } = await loadConfig();
 * const appliance = await createAppliance(config, { directory });
 * appliance.start();
 * await appliance.finished;
 * console.log(await appliance.stop());
 * ```
 */

export { DROP_REASONS, type DropReason, VERDICTS, type Verdict } from './abi.js';
export {
  Appliance,
  type ApplianceOptions,
  createAppliance,
  type StopOptions,
  type SwapOptions,
  type Swapped,
} from './appliance.js';
export { type BenchOptions, type BenchResult, type BenchRow, bench } from './bench.js';
export { type CheckResult, checkProgram } from './check.js';
export {
  type ConfigEnv,
  type ConfigExport,
  type ConfigFunction,
  defineConfig,
} from './config/define.js';
export { type LoadedConfig, loadConfig } from './config/load.js';
export { type ResolvedConfig, type ResolveOptions, resolveConfig } from './config/resolve.js';
export {
  configJsonSchema,
  type PortConfig,
  type ProgramConfig,
  type Setting,
  type WireletConfig,
} from './config/schema.js';
export { type ServeOptions, serveAppliance } from './control/serve.js';
export type { Check, CheckState } from './doctor/check.js';
export { type Diagnosis, diagnose } from './doctor/doctor.js';
export { type ErrorCode, WireletError } from './error.js';
export type {
  ApplianceEvents,
  LinkChange,
  LogLine,
  PuntedPacket,
  Quarantine,
  Reopened,
} from './events.js';
export { type Fault, type FaultFrame, faultText } from './fault.js';
export type { Applied, GenerationChange, PublishOptions, SwapTimes } from './generations.js';
export {
  type PktgenOptions,
  type PktgenResult,
  pktgen,
  type Throughput,
  type ThroughputOptions,
  throughput,
} from './pktgen.js';
export type { Action, Change, Plan } from './plan.js';
export { type LoadedProgram, loadProgram } from './program.js';
export { type ReplayOptions, type ReplayResult, replay } from './replay.js';
export type { ShadowAnswer, ShadowDifference, ShadowOptions, ShadowReport } from './shadow.js';
export { type Conservation, conservation, type PortConservation } from './stats/conservation.js';
export type { Percentiles } from './stats/histogram.js';
export type { PacketLoss } from './stats/loss.js';
export type { LcoreStats, PortStats, ProgramStats, Stats } from './stats/stats.js';
export type { TableInfo, TableOptions, TableRow, Tables } from './tables/live.js';
export type { Trace, TracedPacket, TraceMoment, TraceOptions, TraceTarget } from './trace.js';
