// Package console looks at the console of a node with a browser. It is a module of its own, so that the node's has
// none of the browser's packages; it runs the programs as they are built. Without SLNODE_TEST_BROWSER, the path of a
// Chromium, its tests are skipped. SLNODE_TEST_SHOTS names a folder for pictures of every page, SLNODE_TEST_AXE the
// file axe.min.js of axe-core, with which accessibility is checked. SLNODE_TEST_NET names the
// folder of a network that these tests brought up and left, to try one of them again.
//
// All tests share one consortium, made by network_test.go. pages_test.go looks at every page, tasks_test.go does what
// analysts do and counts their clicks, and hostile_test.go reads what a member sends that wishes ill.
package console
