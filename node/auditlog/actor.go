package auditlog

import "context"

// Actor is who caused something: a user of this node, and who that is on the machine where it is known.
type Actor struct {
	User  string
	Local *Local // of the command line
	Web   *Web   // of the console
}

// Web is how a user of the console was known, and from where it came.
type Web struct {
	Role, Credential, Remote, Request string
}

type actorKey struct{}

// As is a context in which somebody acts.
func As(ctx context.Context, who Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// ActorIn is who acts in a context; nobody where the node does something by itself.
func ActorIn(ctx context.Context) Actor {
	who, _ := ctx.Value(actorKey{}).(Actor)
	return who
}

// String names the actor, for people.
func (a Actor) String() string {
	if a.Local == nil {
		return a.User
	}
	return a.User + " (" + a.Local.String() + ")"
}

// AsUser is a context in which a user of this node acts. Who that is on the machine stays known.
func AsUser(ctx context.Context, user string) context.Context {
	if ActorIn(ctx).User == user {
		return ctx
	}
	return As(ctx, Actor{User: user})
}
