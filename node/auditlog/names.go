package auditlog

import "slices"

// events are what the lines of the audit log are called by.
var events = []string{
	"add-certificate", "add-feed", "add-key", "admit", "answer-feedback", "backup", "change-passphrase", "console-ticket", "create-collection", "describe-root",
	"feedback", "found-consortium", "grant", "hits", "join-consortium", "login", "logout", "lookup", "pause-feed", "propose-admit", "propose-remove-member", "propose-replace-keys",
	"propose-set-governor", "publish", "rate-member", "read", "read-audit", "rebuild-view", "refused", "remove-certificate", "remove-feed", "remove-key",
	"remove-member", "remove-user", "renew-proposal", "replace-keys", "replay-webhook", "restore", "restrict", "resume-feed", "revoke", "revoke-token", "rotate",
	"rotate-keys", "run-feed", "seal-keys", "set", "set-governor", "set-limit", "set-password", "set-role", "show-mnemonic", "sign-proposal", "sign-up",
	"sole-keys", "submit-proposal", "sweep-wallet", "unseal-keys", "watch", "withdraw",
}

// Events lists what the lines of the audit log can be called by, in alphabetical order.
func Events() []string { return slices.Clone(events) }
