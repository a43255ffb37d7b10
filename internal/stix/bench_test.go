package stix

import "testing"

// typicalObject has the size of the mean of 2,881 objects from public sets, 1 kB.
const typicalObject = `{"type":"indicator","spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",` +
	`"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff","created":"2016-04-29T14:09:00.000Z","modified":"2016-04-29T14:09:00.123456Z",` +
	`"object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"],"labels":["apt","tlp:green"],"confidence":80,` +
	`"indicator_types":["malicious-activity"],"name":"Poison Ivy Malware","description":"This file is part of Poison Ivy, a remote access tool that is ` +
	`freely available, first released in 2005. It gives its operator key logging, screen and video capture, file transfer, and passwords, and has ` +
	`been seen in campaigns against chemical makers, governments, defence firms and human rights groups.",` +
	`"pattern":"[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f']","pattern_type":"stix","valid_from":"2016-01-01T00:00:00Z",` +
	`"kill_chain_phases":[{"kill_chain_name":"mandiant-attack-lifecycle-model","phase_name":"initial-compromise"}],` +
	`"external_references":[{"source_name":"poison-ivy-report","url":"https://example.org/reports/poison-ivy.pdf"}],"x_acme_score":7.5}`

func BenchmarkParse(b *testing.B) {
	raw := []byte(typicalObject)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkContentHash(b *testing.B) {
	o, err := Parse([]byte(typicalObject))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(o.Raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.ContentHash(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}
