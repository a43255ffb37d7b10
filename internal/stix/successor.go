package stix

// Succession tells what is odd about a later version of an object beside an earlier one of the same producer, in words
// fit to be shown; nothing if it is as section 3.6 has it. Real producers break each of its rules: MISP moves created
// with every edit, MITRE took revocations back, and ids of creators are mistyped and mended. So nobody is refused for
// that, and the readers are told. Observables are not versioned: any may follow any.
func Succession(earlier, later *Object) (notes []string) {
	if earlier.isObservable() || later.isObservable() {
		return nil
	}
	if earlier.Revoked && !later.Revoked {
		notes = append(notes, "revoked is taken back: the version of "+quote(earlier.Version())+" revoked the object")
	}
	if later.CreatedByRef != earlier.CreatedByRef {
		notes = append(notes, "created_by_ref is "+quote(later.CreatedByRef)+", and "+quote(earlier.CreatedByRef)+" in the version of "+quote(earlier.Version()))
	}
	if !later.created.Equal(earlier.created) {
		notes = append(notes, "created is "+quote(later.Created)+", and "+quote(earlier.Created)+" in the version of "+quote(earlier.Version()))
	}
	return notes
}
