package config

import (
	"reflect"
	"slices"
)

// Differences names the keys whose values are others in another configuration, as they stand in the config file.
func (c Config) Differences(other Config) (keys []string) {
	a, b := reflect.ValueOf(c), reflect.ValueOf(other)
	for i := range a.NumField() {
		section := a.Type().Field(i)
		name := section.Tag.Get("toml")
		if section.Type.Kind() != reflect.Struct { // webhooks, feeds
			if !sameValue(a.Field(i), b.Field(i)) {
				keys = append(keys, name)
			}
			continue
		}
		for j := range section.Type.NumField() {
			if !sameValue(a.Field(i).Field(j), b.Field(i).Field(j)) {
				keys = append(keys, name+"."+section.Type.Field(j).Tag.Get("toml"))
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// sameValue compares two values; a list without elements is like none.
func sameValue(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}
