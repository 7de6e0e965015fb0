import { LINUX_6_12 } from '../../support/vm-world.js';
import { differential } from '../suites/differential.js';

differential(LINUX_6_12, 'fsdlm');
