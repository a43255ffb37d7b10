package stix

// CheckSuccessor returns an [*Error] unless next may follow prev as a version of
// the same object (section 3.6): it is later, has the same creator and the same time of
// creation, and prev is not revoked. The very same version again is not a successor:
// compare the content first, see [Object.ContentHash]. Observables are not versioned:
// producers that do not know of each other give the same value the same id, so
// that any may follow any.
func CheckSuccessor(prev, next *Object) error {
	if err := checkSuccessor(prev, next); err != nil {
		err.ID, err.Version = next.ID, next.Version()
		return err
	}
	return nil
}

func checkSuccessor(prev, next *Object) *Error {
	switch {
	case next.ID != prev.ID:
		return broken("id", "must be that of the earlier version, "+quote(prev.ID))
	case prev.isObservable() || next.isObservable():
		return nil
	case prev.Revoked:
		return broken("id", "is that of an object that was revoked, for good")
	case next.CreatedByRef != prev.CreatedByRef:
		return broken("created_by_ref", "must not change between versions: only the creator may make a new one")
	case !next.created.Equal(prev.created):
		return broken("created", "must not change between versions")
	case !next.VersionTime().After(prev.VersionTime()):
		return broken("modified", "must be later than that of the earlier version, "+quote(prev.Version()))
	}
	return nil
}
