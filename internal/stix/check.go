package stix

// check applies the rules that need more than one property.
func (o *Object) check() *Error {
	for _, rule := range []func() *Error{o.checkIdentity, o.checkSpecVersion, o.checkTimes, o.checkMeta} {
		if err := rule(); err != nil {
			return err
		}
	}
	o.noteMissing()
	return nil
}

func (o *Object) checkIdentity() *Error {
	switch {
	case o.Type == "":
		return broken("type", "is required")
	case !validType(o.Type):
		return broken("type", "must be lower-case letters, digits and hyphens and start with a letter, not "+quote(o.Type))
	case o.Type == "bundle":
		return broken("type", "must not be bundle: send the objects of the bundle instead")
	case o.ID == "":
		return broken("id", "is required")
	}
	typ, _, ok := splitID(o.ID)
	switch {
	case !ok:
		return broken("id", "must be the type, two hyphens and an RFC 4122 UUID, not "+quote(o.ID))
	case typ != o.Type:
		return broken("id", "must start with the type of the object, "+quote(o.Type)+", not "+quote(typ))
	}
	return nil
}

func (o *Object) checkSpecVersion() *Error {
	if o.isObservable() {
		switch o.SpecVersion {
		case "":
			o.SpecVersion = SpecVersion
		case SpecVersion:
			o.defaults = append(o.defaults, "spec_version")
		}
	}
	switch o.SpecVersion {
	case SpecVersion:
		return nil
	case "":
		return broken("spec_version", "is required: content of STIX 2.0, which has none, must be converted to 2.1 first")
	}
	return broken("spec_version", "must be 2.1, not "+quote(o.SpecVersion))
}

func (o *Object) checkTimes() *Error {
	if err := o.readTimes(); err != nil {
		return err
	}
	switch {
	case o.isObservable():
		return nil
	case o.Created == "":
		return broken("created", "is required for an object of type "+quote(o.Type))
	case o.Modified == "" && o.Type != "marking-definition":
		return broken("modified", "is required for an object of type "+quote(o.Type))
	case o.Modified != "" && o.modified.Before(o.created):
		return broken("modified", "must not be before created")
	}
	return nil
}

func (o *Object) checkMeta() *Error {
	switch o.Type {
	case "marking-definition":
		o.claim = claim{} // it is about what carries the marking
		return o.checkMarkingDefinition()
	case "extension-definition":
		return o.checkExtensionDefinition()
	}
	return nil
}

// isObservable reports whether the object needs no created, modified and spec_version. A custom type that has none of
// the two times counts as an observable: some producers call theirs a domain object all the same.
func (o *Object) isObservable() bool {
	switch o.Type {
	case "artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file",
		"ipv4-addr", "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url",
		"user-account", "windows-registry-key", "x509-certificate":
		return true
	case "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
		"infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
		"opinion", "report", "threat-actor", "tool", "vulnerability", // domain objects
		"relationship", "sighting",
		"extension-definition", "language-content", "marking-definition":
		return false
	}
	return o.Created == "" && o.Modified == ""
}
