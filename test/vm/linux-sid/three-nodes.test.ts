import { LINUX_SID } from '../../support/vm-world.js';
import { threeNodes } from '../suites/three-nodes.js';

threeNodes(LINUX_SID, 'host');
