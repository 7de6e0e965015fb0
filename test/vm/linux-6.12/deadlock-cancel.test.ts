import { LINUX_6_12 } from '../../support/vm-world.js';
import { deadlockCancel } from '../suites/deadlock-cancel.js';

deadlockCancel(LINUX_6_12);
