import { LINUX_6_12 } from '../../support/vm-world.js';
import { notices } from '../suites/notices.js';

notices(LINUX_6_12);
