import { LINUX_6_1 } from '../../support/vm-world.js';
import { threeNodes } from '../suites/three-nodes.js';

threeNodes(LINUX_6_1, 'corosync');
