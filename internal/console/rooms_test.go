package console

import "context"

// testRooms answer as a node would that has a little of everything.
func testRooms() Rooms {
	return Rooms{Today: todayRoom{}}
}

type todayRoom struct{}

func (todayRoom) Needs(context.Context) ([]Need, error) {
	return []Need{{Word: "publishing", What: "funds: the account has 0.05 ALGO", Remedy: "Send it some.", Page: "money", Copy: "ADDRESS"}}, nil
}
