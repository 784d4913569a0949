package schema_test

import (
	"fmt"
	"reflect"

	"onepg/internal/fault"
	"onepg/internal/schema"
	"onepg/internal/strictjson"
)

func Example() {
	type Created struct {
		Name  string `json:"name" minLength:"1" maxLength:"200" doc:"What people call the user."`
		Email string `json:"email" format:"email" maxLength:"254" example:"ada@example.com"`
	}
	rules, err := schema.Compile(reflect.TypeFor[Created](), schema.Named("user.created"))
	if err != nil {
		panic(err) // a mistake in the tags
	}

	body := []byte(`{"payload": {"name": "", "phone": 2, "email": "ada"}}`)
	var report strictjson.Report
	event, err := strictjson.Parse(body, strictjson.Limits{MaxDepth: 32}, &report)
	if err != nil {
		panic(err) // a malformed body
	}
	for name, value := range event.Members() {
		if name == "payload" {
			rules.Validate(value, &report)
		}
	}
	if invalid, ok := fault.Of(report.Err()); ok {
		for _, mistake := range invalid.Fields {
			fmt.Println(mistake.Pointer, mistake.Detail)
		}
	}
	// Output:
	// /payload/name must have at least 1 character
	// /payload/phone is not a field of user.created
	// /payload/email must be an email address
}
