import { LINUX_6_1 } from '../../support/vm-world.js';
import { ending } from '../suites/ending.js';

ending(LINUX_6_1, 'keeper');
