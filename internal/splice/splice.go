// Package splice changes valid inputs for fuzz targets. A target that is given whole files, signed or packed, spends
// its time on making them shorter, byte by byte, and hardly ever gets past their first check; one that is given a
// change of a valid file has inputs of a few bytes, and comes far with most of them.
package splice

// Splice replaces a stretch of something valid: cut bytes from at on, both taken modulo what there is. Any text at all
// can be made so, with the whole cut away.
func Splice(valid []byte, at, cut uint16, with []byte) []byte {
	from := int(at) % (len(valid) + 1)
	to := from + int(cut)%(len(valid)-from+1)
	spliced := make([]byte, 0, len(valid)-(to-from)+len(with))
	return append(append(append(spliced, valid[:from]...), with...), valid[to:]...)
}
