/** `wirelet plan`: what would `wirelet apply` change? */
import type { Plan } from '../plan.js';
import { planText } from '../terminal/change-text.js';
import { withAppliance } from './appliance-client.js';
import type { Call } from './command.js';
import { desiredConfig, desiredParams } from './desired.js';

export async function run(call: Call): Promise<number> {
  const { options, output } = call;
  const loaded = await desiredConfig(call.arguments, options);
  const plan = await withAppliance(
    call,
    async (client) => (await client.ask('plan', desiredParams(loaded, options))) as Plan,
    loaded,
  );
  output.result(planText(plan, output.colors));
  if (plan.restart) output.message('for this the appliance must be stopped and started anew');
  else if (plan.publishes) output.message('nothing was touched; make it so: wirelet apply');
  output.json('wirelet.plan/1', plan);
  return 0;
}
