/** `wirelet rollback`: the programs of the generation before, with the state as it is. */
import type { GenerationChange } from '../generations.js';
import { changeText, tablesText } from '../terminal/change-text.js';
import { withAppliance } from './appliance-client.js';
import type { Call } from './command.js';

export async function run(call: Call): Promise<number> {
  const change = await withAppliance(
    call,
    async (client) => (await client.ask('rollback', {})) as GenerationChange,
  );
  call.output.result([changeText(change), ...tablesText(change)].join('\n'));
  call.output.json('wirelet.rollback/1', change);
  return 0;
}
