package console

// models are what each template is given, for the tests that fill them with hostile data. Every template has one.
var models = map[string]any{
	"login":   loginModel{},
	"enter":   enterModel{},
	"confirm": confirmModel{},
	"sorry":   sorryModel{},
	"today":   todayModel{},
}
