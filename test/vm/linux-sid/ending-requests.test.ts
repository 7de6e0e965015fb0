import { LINUX_SID } from '../../support/vm-world.js';
import { endingRequests } from '../suites/ending-requests.js';

endingRequests(LINUX_SID);
