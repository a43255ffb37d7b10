package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/taxii"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// pages makes answers.
type pages struct {
	all    map[string]*template.Template
	assets map[string]asset
}

// asset is a file that browsers may keep for as long as it has the hash.
type asset struct {
	data, zipped []byte
	hash, kind   string
}

func parsePages() (*pages, error) {
	p := &pages{all: map[string]*template.Template{}, assets: map[string]asset{}}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("reading the console's files: %w", err)
	}
	for _, file := range files {
		data, err := staticFiles.ReadFile("static/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the console's files: %w", err)
		}
		sum := sha256.Sum256(data)
		p.assets[file.Name()] = asset{data, zip(data), hex.EncodeToString(sum[:6]), mime.TypeByExtension(path.Ext(file.Name()))}
	}
	all := maps.Clone(functions)
	all["asset"] = func(name string) string { return "static/" + name + "?v=" + p.assets[name].hash }
	base, err := template.New("").Funcs(all).ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("reading the console's templates: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		page := strings.TrimSuffix(path.Base(name), ".html")
		if page == "layout" {
			continue
		}
		whole, err := base.Clone()
		if err == nil {
			_, err = whole.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the console's templates: %w", err)
		}
		p.all[page] = whole
	}
	return p, nil
}

func zip(data []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(data) // to memory
	_ = z.Close()
	return out.Bytes()
}

// static answers with a file.
func (p *pages) static(v *visit, name string) error {
	file, there := p.assets[name]
	if !there {
		return taxii.ErrNotFound
	}
	header := v.w.Header()
	header.Set("Content-Type", file.kind)
	if v.r.URL.Query().Get("v") == file.hash {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	v.send(file.data, file.zipped)
	return nil
}

// visit is one request of a browser, and the answer to it.
type visit struct {
	console *Console
	w       *door.Recorder
	r       *http.Request
	id      string // stands in the log and on pages that report an error
	route   route
	status  int // of the answer; 0: 200

	who   taxii.Principal
	token string
	sudo  bool       // the password was given within the last minutes
	form  url.Values // of a post
}

// by is who asks, for rooms.
func (v *visit) by() By {
	return By{Principal: v.who, Remote: v.console.Clients.Remote(v.r), Request: v.id}
}

// query is a parameter of the page's address.
// oneLine keeps the values of a list apart in a field of one line, where browsers leave the ends of lines out.
var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// may tells whether the visitor has a role.
func (v *visit) may(role taxii.Role) bool { return v.who.Role >= role }

// administers tells whether the visitor is an administrator, without limits.
func (v *visit) administers() bool { return v.may(taxii.RoleAdmin) && !v.who.Limits.Any() }

// see sends the browser to another page, with a GET. The address is relative: what a proxy puts before it is not known.
func (v *visit) see(page string) error {
	if page == "" {
		page = "./"
	}
	v.w.Header().Set("Location", page)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// view is what a template is given: what all pages have, and the page's own model.
type view struct {
	Page         string // its path
	Title        string
	Organisation string
	Consortium   string
	User, Role   string
	Reader       bool // at least
	Publisher    bool
	Admin        bool // … without limits
	Operator     bool // who has no password
	Sudo         bool
	Menu         []menuGroup
	Theme        string // "light", "dark" or ""
	Query        string // what is searched for, in the box
	Said         string // what the form before this page did
	Request      string
	Model        any
}

// menuGroup is a part of the menu.
type menuGroup struct {
	Name  string
	Here  bool
	Items []menuItem
}

type menuItem struct {
	Path, Title string
	Here        bool
}

// render answers with a page.
func (v *visit) render(name string, model any) error { return v.renderAs(name, v.route.title, model) }

// renderAs answers with a page of a title that is not the route's.
func (v *visit) renderAs(name, title string, model any) error {
	page, there := v.console.pages.all[name]
	if !there {
		return fmt.Errorf("there is no template %q", name)
	}
	var out bytes.Buffer
	if err := page.ExecuteTemplate(&out, "layout", v.view(title, model)); err != nil {
		return fmt.Errorf("making page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.send(revealPage(out.Bytes()), nil)
	return nil
}

// enoughToZip is from how many bytes on an answer is compressed.
const enoughToZip = 1 << 10

// send writes an answer, compressed if the browser takes that. No page has a secret next to what a stranger chose.
func (v *visit) send(data, zipped []byte) {
	header := v.w.Header()
	header.Add("Vary", "Accept-Encoding")
	if len(data) >= enoughToZip && strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		if zipped == nil {
			zipped = zip(data)
		}
		header.Set("Content-Encoding", "gzip")
		data = zipped
	}
	header.Set("Content-Length", fmt.Sprint(len(data)))
	v.w.WriteHeader(max(v.status, http.StatusOK))
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(data) // the browser has gone
	}
}

func (v *visit) view(title string, model any) view {
	c := v.console
	shown := view{
		Page: v.route.path, Title: title, Organisation: c.Title, Consortium: c.Consortium, User: v.who.User, Request: v.id, Model: model, Sudo: v.sudo,
		Reader: v.may(taxii.RoleReader), Publisher: v.may(taxii.RolePublisher), Admin: v.administers(), Operator: v.isOperator(),
		Query: oneLine.Replace(v.query("q")), Theme: v.theme(), Said: done[v.query("done")],
	}
	if v.who.Role == taxii.RoleNone {
		return shown
	}
	shown.Role = v.who.Role.String()
	for _, one := range c.order {
		if one.menu == menuNone || one.hidden || !one.lets(v.who) {
			continue
		}
		if n := len(shown.Menu); n == 0 || shown.Menu[n-1].Name != one.menu.String() {
			shown.Menu = append(shown.Menu, menuGroup{Name: one.menu.String()})
		}
		last := &shown.Menu[len(shown.Menu)-1]
		item := menuItem{Path: one.path, Title: one.title, Here: one.path == v.route.path}
		if item.Path == "" {
			item.Path = "./"
		}
		last.Items, last.Here = append(last.Items, item), last.Here || item.Here || one.menu == v.route.menu
	}
	return shown
}

// theme is how this browser is to look.
func (v *visit) theme() string {
	if theme := v.remembered("theme"); theme == "dark" || theme == "light" {
		return theme
	}
	return ""
}

// done is what a form did, in the address of the page that it leads to. A hostile address can't write there: what is
// said is one of these.
var done = map[string]string{
	"saved": "Saved.", "made": "Made.", "ended": "Ended.", "begun": "It is on its way to the chain, and shows here when it is there. What keeps it, if anything does, stands under Outbox.",
	"granted": "They can read it, as soon as their nodes have the key.", "revoked": "What comes from now on, they can't read.", "renewed": "A new key is in use from now on.",
	"admitted": "They are a member. Send them the invite: \"slnode consortium invite\" makes it.", "removed": "The membership has ended.",
	"added": "It is there, and paused: test it, and then have it go on.",
	"later": "It counts here from now on. Others could not be told just now, which the node goes on trying.",
	"told":  "It counts here from now on; telling others takes some seconds.", "unsaid": "It is taken back.", "kept": "It stays as it is.",
	"answered": "The next version is on its way to the chain; that is the answer.",
	"counted":  "It is counted: seen here today.",
	"running":  "It runs now, beside its schedule.", "paused": "It is paused.", "resumed": "It goes on.",
}

// sorryModel is a page that says why there is no other.
type sorryModel struct {
	Status int
	Text   string
	Code   string
}

// meaning is what an error means to the visitor. A failure has its text only for administrators: the others are told
// under which id the log has it. Refusals have words that are for everybody.
func (v *visit) meaning(err error) (title string, model sorryModel, failed bool) {
	var (
		refused *refusal
		invalid *taxii.InvalidError
		retry   *taxii.RetryAfterError
	)
	switch {
	case errors.As(err, &refused):
		return refused.title, sorryModel{refused.status, refused.text, refused.code}, false
	case errors.Is(err, taxii.ErrNotFound):
		return "Nothing here", sorryModel{Status: http.StatusNotFound, Text: "There is no such page or thing, or none that this account may see."}, false
	case errors.Is(err, taxii.ErrForbidden):
		return "Not for this account", sorryModel{Status: http.StatusForbidden, Text: "This account may not do that. An administrator of the node can change what it may."}, false
	case errors.As(err, &invalid):
		return "That can't be done", sorryModel{Status: http.StatusUnprocessableEntity, Text: invalid.Reason}, false
	case errors.Is(err, taxii.ErrConflict):
		return "That can't be done now", sorryModel{Status: http.StatusConflict, Text: err.Error()}, false
	case errors.As(err, &retry):
		return "Busy", sorryModel{Status: http.StatusServiceUnavailable, Text: retry.Error()}, false
	}
	model = sorryModel{Status: http.StatusInternalServerError, Text: "The node's log has the reason, under " + v.id + "."}
	if v.may(taxii.RoleAdmin) && !strings.HasPrefix(err.Error(), "panic: ") {
		model.Text, model.Code = "The node says:", err.Error()
	}
	return "That failed", model, true
}

// lacks says why a part of a page is not there, and writes into the log what failed: the page itself is answered well.
func (v *visit) lacks(what string, err error) string {
	_, model, failed := v.meaning(err)
	if failed && v.r.Context().Err() == nil {
		v.console.Log.Error("a part of a console page failed", "request_id", v.id, "route", Prefix+v.route.path, "part", what, "error", err)
	}
	if model.Code != "" {
		return model.Text + " " + model.Code
	}
	return model.Text
}

// sorry answers with what an error means. It returns the error for the log.
func (c *Console) sorry(v *visit, err error) error {
	if v.w.Status != 0 || v.r.Context().Err() != nil {
		return err // there is an answer, or nobody to read one
	}
	title, model, _ := v.meaning(err)
	v.status = model.Status
	if wrong := v.renderAs("sorry", title, model); wrong != nil {
		http.Error(v.w, model.Text, model.Status)
		return errors.Join(err, wrong)
	}
	return err
}
