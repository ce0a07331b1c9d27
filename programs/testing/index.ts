// Packets and pcap files for the tests of programs, for demos and for end-to-end tests.

export * from './bytes.js';
export * from './cases.js';
export * from './dns.js';
export * from './frames.js';
export * from './pcap.js';
