package taxii

import (
	"net/http"
	"slices"
	"testing"
)

// versionsOf lists the versions that are left of an indicator.
func (f *fixture) versionsOf(n int) []string {
	f.t.Helper()
	a := f.get(boxPath + "objects/" + indicatorID(n) + "/versions/")
	if a.status == http.StatusNotFound {
		return nil
	}
	a.want(f.t, http.StatusOK)
	return decode[versionsResource](f.t, a).Versions
}

// Checklist 11.2, 11.3: what is deleted is gone from everywhere.
func TestDeletedObjectsAreGone(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1), indicator(1, 2), indicator(2, 1))
	a := f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "")
	a.want(t, http.StatusOK)
	if len(a.body) != 0 || a.header.Get("Content-Type") != MediaType {
		t.Errorf("answered %q, %s", a.body, a.header.Get("Content-Type"))
	}
	for _, path := range []string{"objects/" + indicatorID(1) + "/", "objects/" + indicatorID(1) + "/versions/"} {
		f.get(boxPath+path).wantProblem(t, http.StatusNotFound)
	}
	for _, path := range []string{"objects/?match[version]=all", "manifest/?match[version]=all"} {
		if got := f.get(boxPath + path).ids(t); !slices.Equal(got, []string{indicatorID(2)}) {
			t.Errorf("%s: %v", path, got)
		}
	}
	f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "").wantProblem(t, http.StatusNotFound)

	// 11.4: who saw it go must see it come back.
	last := f.get(boxPath + "objects/").header.Get("X-TAXII-Date-Added-Last")
	f.post(indicator(1, 1))
	if got := f.get(boxPath + "objects/?added_after=" + last).ids(t); !slices.Equal(got, []string{indicatorID(1)}) {
		t.Errorf("posted again, after %s: %v", last, got)
	}
}

// Section 5.7: match[version] and match[spec_version] say what is deleted.
func TestDeleteTakesTheVersionsThatAreNamed(t *testing.T) {
	all := []string{"2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z", "2026-01-01T00:00:03.000Z"}
	for query, left := range map[string][]string{
		"":                                     nil,
		"?match[version]=all":                  nil,
		"?match[version]=last":                 all[:2],
		"?match[version]=first":                all[1:],
		"?match[version]=first,last":           all[1:2],
		"?match[version]=2026-01-01T00:00:02Z": {all[0], all[2]},
		"?match[spec_version]=2.1":             nil,
	} {
		f := newFixture(t, func(c *Config) { c.Pages = PageLimits{Max: 2} }) // two pages of them
		f.post(indicator(1, 1), indicator(1, 2), indicator(1, 3))
		f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/"+query, "").want(t, http.StatusOK)
		if got := f.versionsOf(1); !slices.Equal(got, left) {
			t.Errorf("%s leaves %v, want %v", query, got, left)
		}
	}
}

// Section 5.7: where there is nothing to delete, and what could spare something without being understood.
func TestDeletesThatDeleteNothing(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	for query, status := range map[string]int{
		"?match[spec_version]=2.0":             http.StatusNotFound,
		"?match[version]=1999-01-01T00:00:00Z": http.StatusNotFound,
		"?match[version]=nonsense":             http.StatusBadRequest,
		"?match[version]=":                     http.StatusBadRequest,
		"?match[version]=last,last":            http.StatusBadRequest,
		"?match[version]=all,first":            http.StatusBadRequest,
		"?match[type]=malware":                 http.StatusBadRequest,
		"?added_after=2030-01-01T00:00:00Z":    http.StatusBadRequest,
		"?dry_run=true":                        http.StatusBadRequest,
		"?%zz":                                 http.StatusBadRequest,
	} {
		f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/"+query, "").wantProblem(t, status)
	}
	if got := f.versionsOf(1); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}

// Checklist 3.6: the table of section 5.7.
func TestDeleteNeedsTheRightToReadAndToWrite(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	path := "objects/" + indicatorID(1) + "/"
	for _, test := range []struct {
		path, token string
		status      int
	}{
		{"/acme/collections/" + hiddenID + "/" + path, "tok-paul", http.StatusNotFound},
		{feedPath + path, "tok-paul", http.StatusForbidden},
		{inboxPath + path, "tok-paul", http.StatusForbidden},
		{boxPath + path, "tok-rita", http.StatusForbidden},
		{boxPath + path, "tok-ada", http.StatusForbidden}, // not ada's to withdraw
		{boxPath + path, "nonsense", http.StatusUnauthorized},
	} {
		f.do(http.MethodDelete, test.path, "", "Authorization: Bearer "+test.token).wantProblem(t, test.status)
	}
	if got := f.versionsOf(1); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}

// Where withdrawing takes its time there is a status to follow it by.
func TestDeleteThatIsPendingIsAnsweredWithAStatus(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	f.backend.pending = true
	a := f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "")
	a.want(t, http.StatusAccepted)
	s := decode[StatusResource](t, a)
	if s.Status != "pending" || s.TotalCount != 1 || s.PendingCount != 1 || s.Pendings[0].ID != indicatorID(1) {
		t.Errorf("answered %s", a.body)
	}
	f.get("/acme/status/"+s.ID+"/").want(t, http.StatusOK)
}

func TestDeleteIsNotOfferedWithoutAWithdrawer(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Withdrawer = nil })
	f.post(indicator(1, 1))
	a := f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "")
	a.wantProblem(t, http.StatusMethodNotAllowed)
	if got := a.header.Get("Allow"); got != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow %q", got)
	}
}
