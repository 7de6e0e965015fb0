import { LINUX_BACKPORTS } from '../../support/vm-world.js';
import { threeNodes } from '../suites/three-nodes.js';

threeNodes(LINUX_BACKPORTS, 'corosync', 'trixie');
