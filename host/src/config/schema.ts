/** The shape of a config: one schema gives the types, the checks and the JSON Schema. */
import { z } from 'zod';
import {
  BURST_MAX,
  DEADLINE_MAX_NS,
  DEADLINE_MIN_NS,
  FRAME_BYTES_DEFAULT,
  FRAME_BYTES_MAX,
  FRAME_BYTES_MIN,
  FRAMES_DEFAULT,
  LCORES_MAX,
  NAME_BYTES_MAX,
  PIPELINE_PROGRAMS_MAX,
} from '../abi.js';
import { offload, portRules, ruleActionObject, ruleMatchObject, ruleObject } from './rules.js';

/** Frames of the smallest region: a full burst for each of a few queues. */
const FRAMES_MIN = 512;
/** Frames of the largest region: what fits into the packet window at the smallest frame size. */
const FRAMES_MAX = 254 * 1024;
/** A multiple of a cache line, so that no two frames share one. */
const FRAME_STEP = 64;
const NS_PER_MS = 1_000_000;
/** A fault or two may be one odd packet; three in the first seconds are the new program. */
export const ROLLBACK_FAULTS_DEFAULT = 3;
const ROLLBACK_FAULTS_MAX = 1_000_000;
export const ROLLBACK_MS_DEFAULT = 10_000;
const ROLLBACK_MS_MAX = 3_600_000;
export const FAULT_FILES_DEFAULT = 100;
const FAULT_FILES_MAX = 10_000;
const EAL_ARGUMENTS_MAX = 256;

const name = z
  .string()
  .min(1)
  .max(NAME_BYTES_MAX)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'a name has letters, digits, "_", "-" and "." only');

const device = z.string().min(1).describe('Device spec: `driver:where?option=value`.');

const pipeline = z
  .array(name)
  .max(PIPELINE_PROGRAMS_MAX)
  .describe('Names of programs, in the order in which packets run through them.');

const portObject = z.strictObject({
  device,
  queues: z.int().min(1).max(LCORES_MAX).optional().describe('Receive queues; default 1.'),
  pipeline: pipeline.optional(),
  punt: name.optional().describe('Port that punted packets of this port leave by.'),
  offload: offload.optional(),
});
const port = z.union([device, portObject]);

const setting = z.union([
  z.number(),
  z.boolean(),
  z.string(),
  z.array(z.string()),
  z.array(z.number()),
]);

const source = z.string().min(1).describe('Folder with index.ts, a .ts or a .wasm file.');

const programObject = z.strictObject({
  source,
  settings: z
    .record(z.string(), setting)
    .optional()
    .describe('What the program reads as Settings.'),
  deadlineMs: z
    .number()
    .min(DEADLINE_MIN_NS / NS_PER_MS)
    .max(DEADLINE_MAX_NS / NS_PER_MS)
    .optional()
    .describe('CPU time of one burst at most; default 10.'),
  onFault: z
    .enum(['drop', 'pass', 'previous'])
    .optional()
    .describe(
      'What the untouched packets of a burst get when the program faults; `previous` is the ' +
        'program of the generation before; default drop.',
    ),
  redirectTo: z.array(name).optional().describe('Ports it may redirect to; default all.'),
  affinity: z
    .enum(['none', 'flow', 'symmetric'])
    .optional()
    .describe(
      'Packets that it must see on one lcore: of a flow that comes in by one port, or all ' +
        'between two addresses, by whatever port; default what its manifest says.',
    ),
});
const program = z.union([source, programObject]);

const stateObject = z.strictObject({
  persist: z
    .boolean()
    .optional()
    .describe('Tables outlive the process, even a killed one; default false.'),
  directory: z
    .string()
    .min(1)
    .optional()
    .describe('Folder on tmpfs for them; default /dev/shm/wirelet- and the folder’s name.'),
});

const rollbackObject = z.strictObject({
  faults: z
    .int()
    .min(0)
    .max(ROLLBACK_FAULTS_MAX)
    .optional()
    .describe(
      'Faults of a changed program that bring the one before back; 0 is never; default ' +
        `${ROLLBACK_FAULTS_DEFAULT}.`,
    ),
  windowMs: z
    .int()
    .min(1)
    .max(ROLLBACK_MS_MAX)
    .optional()
    .describe(`How long after its adoption they count; default ${ROLLBACK_MS_DEFAULT}.`),
});

const controlObject = z.strictObject({
  socket: z
    .union([z.string().min(1), z.literal(false)])
    .optional()
    .describe('Unix socket that drives the appliance from outside; false for none.'),
});

const dpdkObject = z.strictObject({
  eal: z
    .array(z.string().min(1))
    .max(EAL_ARGUMENTS_MAX)
    .optional()
    .describe("EAL's arguments in place of the defaults, such as `['--in-memory', '-n', '4']`."),
});

const faultsObject = z.strictObject({
  directory: z
    .string()
    .min(1)
    .optional()
    .describe('Folder that packets of faults are saved in; default: beside the socket.'),
  filesMax: z
    .int()
    .min(0)
    .max(FAULT_FILES_MAX)
    .optional()
    .describe(`Files in it; the oldest go; 0 saves none; default ${FAULT_FILES_DEFAULT}.`),
});

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe('For editors.'),
  lcores: z
    .union([
      z.int().min(1).max(LCORES_MAX),
      z.array(z.int().min(0).max(4095)).min(1).max(LCORES_MAX),
    ])
    .optional()
    .describe('A number of lcores, or the CPU of each; default 1, where the kernel puts it.'),
  burst: z
    .int()
    .min(1)
    .max(BURST_MAX)
    .optional()
    .describe('Packets of one burst at most; default 64.'),
  idle: z
    .enum(['adaptive', 'poll'])
    .optional()
    .describe('What an lcore without packets does: sleep soon, or spin; default adaptive.'),
  frames: z
    .int()
    .min(FRAMES_MIN)
    .max(FRAMES_MAX)
    .optional()
    .describe(`Frames of the region; default ${FRAMES_DEFAULT}.`),
  frameBytes: z
    .int()
    .min(FRAME_BYTES_MIN)
    .max(FRAME_BYTES_MAX)
    .multipleOf(FRAME_STEP)
    .optional()
    .describe(`Bytes of a frame; default ${FRAME_BYTES_DEFAULT}.`),
  hugepages: z.boolean().optional().describe('Use hugepages where there are any; default true.'),
  ports: z.record(name, port).describe('Devices by the name that this config calls them.'),
  forward: z
    .record(name, name)
    .optional()
    .describe('Where passed packets leave: `{ in: "out" }`, one way.'),
  punt: z.record(name, name).optional().describe('Where punted packets leave, by port of arrival.'),
  rules: z
    .record(name, portRules)
    .optional()
    .describe('What is decided before programs see a packet, by port of arrival.'),
  programs: z.record(name, program).optional().describe('Programs by name.'),
  pipeline: pipeline.optional().describe('Pipeline of every port that has none of its own.'),
  state: stateObject.optional().describe('What becomes of tables when the process ends.'),
  rollback: rollbackObject.optional().describe('When a swap is taken back by itself.'),
  control: controlObject.optional().describe('How the appliance is driven from outside.'),
  faults: faultsObject.optional().describe('Where packets of faults are saved.'),
  dpdk: dpdkObject.optional().describe('How DPDK starts, for ports of `dpdk` devices.'),
});

/** What a config file holds. */
export type WireletConfig = z.input<typeof configSchema>;
export type PortConfig = z.input<typeof port>;
export type ProgramConfig = z.input<typeof program>;
export type { RuleConfig } from './rules.js';
/** What a program may be given as a setting. */
export type Setting = z.input<typeof setting>;

/** Keys that exist, by path with names replaced by `*`. */
export const KNOWN_KEYS: Record<string, readonly string[]> = {
  '': Object.keys(configSchema.shape),
  'ports.*': Object.keys(portObject.shape),
  'programs.*': Object.keys(programObject.shape),
  'rules.*.*': Object.keys(ruleObject.shape),
  'rules.*.*.match': Object.keys(ruleMatchObject.shape),
  'rules.*.*.action': Object.keys(ruleActionObject.shape),
  state: Object.keys(stateObject.shape),
  rollback: Object.keys(rollbackObject.shape),
  control: Object.keys(controlObject.shape),
  faults: Object.keys(faultsObject.shape),
  dpdk: Object.keys(dpdkObject.shape),
};

/** The schema for editors, as JSON Schema 2020-12. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-2020-12' });
  return { title: 'wirelet config', ...schema };
}
