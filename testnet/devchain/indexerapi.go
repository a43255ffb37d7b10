package devchain

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/algorand/indexer/v3/api"
	"github.com/algorand/indexer/v3/api/generated/common"
	generated "github.com/algorand/indexer/v3/api/generated/v2"
	"github.com/algorand/indexer/v3/api/middlewares"
	"github.com/algorand/indexer/v3/idb"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/sirupsen/logrus"
)

// newIndexerAPI is the released indexer's own REST layer over a database, with its default limits. With released
// set it refuses the parameters that the indexer refuses as shipped; public providers allow all.
//
// It is put together as api.Serve does it. Serve itself won't do: it listens on a port of its own choosing, prints
// to standard output, exits the process when the port is taken, and leaves its listener open for good when its
// context ends, because it shuts down another server than the one that it started.
func newIndexerAPI(db idb.IndexerDb, released bool) (http.Handler, error) {
	options := api.ExtraOptions{
		MaxAPIResourcesPerAccount: 1000,
		MaxAccountListSize:        50,
		MaxBlocksLimit:            1000,
		DefaultBlocksLimit:        100,
		MaxTransactionsLimit:      10_000,
		DefaultTransactionsLimit:  1000,
		MaxAccountsLimit:          1000,
		DefaultAccountsLimit:      100,
		MaxAssetsLimit:            1000,
		DefaultAssetsLimit:        100,
		MaxBalancesLimit:          10_000,
		DefaultBalancesLimit:      1000,
		MaxApplicationsLimit:      1000,
		DefaultApplicationsLimit:  100,
		MaxBoxesLimit:             10_000,
		DefaultBoxesLimit:         1000,
	}
	quiet := logrus.New() // what goes wrong is in the answers
	quiet.SetOutput(io.Discard)
	disabled, err := disabledParameters(released)
	if err != nil {
		return nil, err
	}
	server := &api.ServerImplementation{}
	for name, value := range map[string]any{"db": db, "log": quiet, "disabledParams": disabled, "opts": options} {
		if err := setUnexported(server, name, value); err != nil {
			return nil, err
		}
	}

	e := echo.New()
	e.Use(middleware.CORS())
	e.Use(middleware.GzipWithConfig(middleware.GzipConfig{
		Skipper: func(c echo.Context) bool { return !strings.Contains(c.Path(), "/v2/blocks/") },
		Level:   -1,
	}))
	generated.RegisterHandlers(e, server, middlewares.MakeMigrationMiddleware(db))
	common.RegisterHandlers(e, server)
	return e, nil
}

// disabledParameters reads the indexer's API description, which takes 50 ms: only those who want it wait for it.
func disabledParameters(released bool) (*api.DisabledMap, error) {
	if !released {
		return nil, nil
	}
	description, err := generated.GetSwagger()
	if err != nil {
		return nil, fmt.Errorf("reading the indexer's API description: %w", err)
	}
	disabled, err := api.MakeDisabledMapFromOA3(description, api.GetDefaultDisabledMapConfigForPostgres())
	if err != nil {
		return nil, fmt.Errorf("disabling the indexer's parameters: %w", err)
	}
	return disabled, nil
}

// setUnexported sets a field that the indexer fills in itself in api.Serve and offers no other way to.
func setUnexported(target any, field string, value any) error {
	f := reflect.ValueOf(target).Elem().FieldByName(field)
	v := reflect.ValueOf(value)
	if !f.IsValid() || !v.Type().AssignableTo(f.Type()) {
		return fmt.Errorf("the indexer's REST layer has changed: no field %q that takes a %T", field, value)
	}
	reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().Set(v)
	return nil
}
