import { LINUX_BACKPORTS } from '../../support/vm-world.js';
import { userStack } from '../suites/user-stack.js';

userStack(LINUX_BACKPORTS, 'thread');
