package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// picture is one of a page.
type picture struct{ name, page string }

// pictures are the pages that docs/CONSOLE.md shows.
var pictures = []picture{
	{"search", "search"},
	{"lookup", "search?q=203.0.113%5B.%5D7"},
	{"list", "search?q=203.0.113.7%0Aevil%5B.%5Dexample%0Ahxxps%3A%2F%2Fcdn.example%2Fa%0A203.0.113.9"},
	{"object", "object?id=" + malwareID},
	{"proof", "object?id=" + indicatorID + "&check=1"},
	{"publish", "publish?paste=Block+203.0.113%5B.%5D7%2C+evil%5B.%5Dexample%2C+hxxps%3A%2F%2Fcdn%5B.%5Dexample%2Fa%2C+8.8.8%5B.%5D8+and+10.0.0.1+please."},
	{"published", "published?id=status-3"},
	{"trends", "trends"},
	{"feedback", "feedback"},
	{"leave", "leave?to=https%3A%2F%2Fcsirt.charlie.example%2F2026%2Fcold-harbour"},
}

// TestPictures makes the pictures of docs/CONSOLE.md, of made-up data: SLNODE_TEST_BROWSER names a Chromium,
// SLNODE_PICTURES the folder. Without them it is left out.
func TestPictures(t *testing.T) {
	browser, folder := os.Getenv("SLNODE_TEST_BROWSER"), os.Getenv("SLNODE_PICTURES")
	if browser == "" || folder == "" {
		t.Skip("SLNODE_TEST_BROWSER and SLNODE_PICTURES are not set")
	}
	w := newWorld(t, func(c *Config) { c.Now = func() time.Time { return someLibrary.at } })
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		r.AddCookie(&http.Cookie{Name: w.c.logins.cookie, Value: "admin"})
		r.AddCookie(&http.Cookie{Name: w.c.logins.cookie + "-theme", Value: os.Getenv("SLNODE_THEME")})
		w.c.ServeHTTP(out, r)
	}))
	defer server.Close()
	size := firstOf(os.Getenv("SLNODE_SIZE"), "1280,960")
	shown := pictures
	if pages := os.Getenv("SLNODE_PAGES"); pages != "" { // others: "name=page name=page"
		shown = shown[:0:0]
		for _, one := range strings.Fields(pages) {
			called, page, _ := strings.Cut(one, "=")
			shown = append(shown, picture{called, page})
		}
	}
	for _, p := range shown {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size="+size, "--virtual-time-budget=4000",
			"--screenshot="+filepath.Join(folder, p.name+".png"), server.URL+Prefix+p.page).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v: %s", p.name, err, out)
		}
		shrink(t, filepath.Join(folder, p.name+".png"))
	}
}
