import { LINUX_6_12 } from '../../support/vm-world.js';
import { strayBytes } from '../suites/stray-bytes.js';

strayBytes(LINUX_6_12);
