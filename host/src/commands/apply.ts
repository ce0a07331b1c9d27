/** `wirelet apply`: makes a config what runs, without losing a packet. */
import { createInterface } from 'node:readline/promises';
import type { ControlClient } from '../control/client.js';
import type { Params } from '../control/protocol.js';
import type { Applied } from '../generations.js';
import type { Plan } from '../plan.js';
import { changeText, planText, tablesText } from '../terminal/change-text.js';
import { withAppliance } from './appliance-client.js';
import type { Call } from './command.js';
import { desiredConfig, desiredParams } from './desired.js';

export async function run(call: Call): Promise<number> {
  const { options, output } = call;
  const loaded = await desiredConfig(call.arguments, options);
  const params = desiredParams(loaded, options);
  const applied = await withAppliance(
    call,
    async (client) => {
      if (!(await agreed(client, params, call))) return null;
      return (await client.ask('apply', params)) as Applied;
    },
    loaded,
  );
  if (applied === null) {
    output.message('nothing was touched');
    return 0;
  }
  output.result(appliedText(applied));
  output.json('wirelet.apply/1', applied);
  return 0;
}

function appliedText({ plan, change }: Applied): string {
  if (change) return [changeText(change), ...tablesText(change)].join('\n');
  const options = plan.actions.some(({ kind }) => kind === 'option');
  return options ? 'options changed, no new generation' : 'no changes';
}

/** On a terminal the plan is shown and asked about; a script means what it says. */
async function agreed(client: ControlClient, params: Params<'plan'>, call: Call): Promise<boolean> {
  const { options, output } = call;
  const asks = process.stdin.isTTY && process.stderr.isTTY && !output.options.json;
  if (!asks || options.flag('yes')) return true;
  const plan = (await client.ask('plan', params)) as Plan;
  output.message(planText(plan, output.colors));
  // What needs a restart is refused with its reasons, which a question would only delay.
  if (!plan.publishes) return true;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question('apply this? [y/N] ');
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
