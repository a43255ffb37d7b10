package console

import "github.com/serviceledger/slnode/taxii"

// route is a page: where it is, who may see it, and what it does.
type route struct {
	path      string     // below /-/, one segment
	title     string     // of the page, and in the menu
	menu      menu       // the group in the menu; 0: none
	hidden    bool       // it doesn't stand there itself: other pages lead to it
	role      taxii.Role // the least that may see it; RoleNone is for those who are not known yet
	writes    taxii.Role // the least that may post to it; role if it is RoleNone
	unlimited bool       // not for accounts that are restricted to some collections
	sudo      bool       // a post needs an account without limits and its password, again if that was not given within minutes
	body      int64      // of a post at most, in bytes; 0: [usualBody]
	get       handler
	post      handler // what a form does: it ends in [visit.see], so that reloading repeats nothing
}

// lets tells whether somebody may see the page.
func (r route) lets(who taxii.Principal) bool {
	return who.Role >= r.role && !(r.unlimited && who.Limits.Any())
}

// handler answers a request. Its error becomes a page.
type handler func(*Console, *visit) error

// menu is a group of the menu.
type menu int

// The groups, in their order.
const (
	menuNone menu = iota
	menuIntelligence
	menuSharing
	menuNode
	menuSelf
)

func (m menu) String() string {
	return [...]string{"", "Intelligence", "Sharing", "Node", "You"}[m]
}

// routes are all pages, in the order of the menu.
func routes() []route {
	const (
		nobody    = taxii.RoleNone
		reader    = taxii.RoleReader
		publisher = taxii.RolePublisher
		admin     = taxii.RoleAdmin
	)
	return []route{
		{path: "login", title: "Log in", role: nobody, get: (*Console).getLogin, post: (*Console).postLogin},
		{path: "enter", title: "Enter", role: nobody, get: (*Console).getEnter, post: (*Console).postEnter},
		{path: "logout", title: "Log out", role: nobody, post: (*Console).postLogout},

		{path: "", title: "Today", menu: menuIntelligence, role: reader, get: (*Console).getToday},
		{path: "live", title: "Live", role: reader, get: (*Console).getLive},
		{path: "search", title: "Search", menu: menuIntelligence, role: reader, body: 3 * maxBox, get: (*Console).getSearch, post: (*Console).postSearch},
		{path: "object", title: "Object", menu: menuIntelligence, hidden: true, role: reader, writes: publisher, get: (*Console).getObject, post: (*Console).postObject},
		{path: "object.json", title: "Object", role: reader, get: (*Console).getObjectJSON},
		{path: "proof.json", title: "Proof", role: reader, get: (*Console).getProof},
		{path: "publish", title: "Publish", menu: menuIntelligence, role: publisher, body: 3 * maxPaste, get: (*Console).getPublish, post: (*Console).postPublish},
		{path: "published", title: "Published", menu: menuIntelligence, hidden: true, role: publisher, get: (*Console).getPublished},
		{path: "feedback", title: "Feedback", menu: menuIntelligence, role: reader, body: 8 << 20, get: (*Console).getFeedback, post: (*Console).postFeedback},
		{path: "trends", title: "Trends", menu: menuIntelligence, role: reader, get: (*Console).getTrends},
		{path: "leave", title: "Leave the console", menu: menuIntelligence, hidden: true, role: reader, get: (*Console).getLeave},

		{path: "collections", title: "Collections", menu: menuSharing, role: reader, writes: admin, sudo: true, get: (*Console).getCollections, post: (*Console).postCollections},
		{path: "collection", title: "Collection", menu: menuSharing, hidden: true, role: reader, writes: admin, sudo: true, get: (*Console).getCollection, post: (*Console).postCollection},
		{path: "members", title: "Members", menu: menuSharing, role: reader, writes: admin, unlimited: true, sudo: true, get: (*Console).getMembers, post: (*Console).postMembers},
		{path: "member", title: "Member", menu: menuSharing, hidden: true, role: reader, writes: admin, unlimited: true, sudo: true, get: (*Console).getMember, post: (*Console).postMember},

		{path: "node", title: "Node", menu: menuNode, role: admin, unlimited: true, get: (*Console).getNode},
		{path: "money", title: "Money", menu: menuNode, role: admin, unlimited: true, get: (*Console).getMoney},
		{path: "outbox", title: "Outbox", menu: menuNode, role: admin, unlimited: true, get: (*Console).getOutbox},
		{path: "feeds", title: "Feeds", menu: menuNode, role: admin, unlimited: true, sudo: true, get: (*Console).getFeeds, post: (*Console).postFeeds},
		{path: "feed", title: "Feed", menu: menuNode, hidden: true, role: admin, unlimited: true, sudo: true, get: (*Console).getFeed, post: (*Console).postFeed},
		{path: "access", title: "Access", menu: menuNode, role: admin, unlimited: true, sudo: true, get: (*Console).getAccess, post: (*Console).postAccess},
		{path: "audit", title: "Audit log", menu: menuNode, role: admin, unlimited: true, get: (*Console).getAudit},

		{path: "me", title: "Your account", menu: menuSelf, hidden: true, role: reader, get: (*Console).getMe, post: (*Console).postMe},
	}
}
