package console

// models are what each template is given, for the tests that fill them with hostile data. Every template has one.
var models = map[string]any{
	"login":   loginModel{},
	"enter":   enterModel{},
	"confirm": confirmModel{},
	"sorry":   sorryModel{},
	"today":   todayModel{},
	"trends":  trendsModel{},

	"collections": collectionsModel{},
	"collection":  collectionModel{},
	"members":     membersModel{},
	"member":      memberModel{},
	"access":      accessModel{},
	"audit":       auditModel{},
	"node":        nodeModel{},
	"money":       moneyModel{},
	"feeds":       feedsModel{},
	"feed":        feedModel{},
	"outbox":      outboxModel{},
	"me":          meModel{},
	"search":      searchModel{},
	"object":      objectModel{},

	"feedback": feedbackModel{}, "correct": correctModel{},

	"leave":   leaveModel{},
	"publish": publishModel{}, "published": publishedModel{},
}
