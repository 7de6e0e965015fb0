import { LINUX_6_12 } from '../../support/vm-world.js';
import { endingRequests } from '../suites/ending-requests.js';

endingRequests(LINUX_6_12);
