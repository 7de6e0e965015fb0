import { LINUX_6_12 } from '../../support/vm-world.js';
import { valueBlocks } from '../suites/value-blocks.js';

valueBlocks(LINUX_6_12);
