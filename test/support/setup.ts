import { removeAfterFile } from './temp-dir.ts';

removeAfterFile();
