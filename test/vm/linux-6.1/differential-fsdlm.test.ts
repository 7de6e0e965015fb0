import { LINUX_6_1 } from '../../support/vm-world.js';
import { differential } from '../suites/differential.js';

differential(LINUX_6_1, 'fsdlm');
