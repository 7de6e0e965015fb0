import { LINUX_BACKPORTS } from '../../support/vm-world.js';
import { endingRequests } from '../suites/ending-requests.js';

endingRequests(LINUX_BACKPORTS);
