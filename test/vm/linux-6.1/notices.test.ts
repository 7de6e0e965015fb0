import { LINUX_6_1 } from '../../support/vm-world.js';
import { notices } from '../suites/notices.js';

notices(LINUX_6_1);
