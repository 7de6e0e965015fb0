import { noticesWithCorosync } from '../suites/notices.js';

noticesWithCorosync();
