import { LINUX_6_12 } from '../../support/vm-world.js';
import { ending } from '../suites/ending.js';

ending(LINUX_6_12, 'thread');
