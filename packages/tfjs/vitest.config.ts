import { inNode } from '../../vitest.node.js';

export default inNode();
