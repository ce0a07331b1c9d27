// Churns a table that is kept in a folder until it is killed.
//
//   node child.js <folder>
import { churning } from './appliance.js';

const appliance = await churning(process.argv[2]);
appliance.start();
process.stdout.write('running\n');
