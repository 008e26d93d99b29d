"""The test definitions of CAMARA QualityOnDemand, by id, and which of them a 1.1 operator answers for.

The list follows the newest state of the project's Gherkin files (five operations). Every id stands in the
docstring or the parameter id of a test in `test_camara`, or in `NOT_OURS` with the reason.
"""

import re
from collections.abc import Iterable, Mapping

import pytest
from _pytest.mark import ParameterSet

_PREFIX = "quality_on_demand_"

_COMMON_DEVICE = (
    "C01.01_device_empty",
    "C01.02_device_identifiers_not_schema_compliant",
    "C01.03_device_not_found",
    "C01.04_unnecessary_device",
    "C01.05_missing_device",
    "C01.06_unsupported_device",
    "C01.07_device_not_supported",
)
_COMMON_401 = (
    "401.1_no_authorization_header",
    "401.2_expired_access_token",
    "401.3_invalid_access_token",
)

SCENARIOS = frozenset(
    f"{_PREFIX}{operation}_{name}"
    for operation, names in {
        "createSession": (
            "01_generic_success_scenario",
            "02_1_sinkcredential_provided",
            "02_2_event_received",
            "03_3_legged_missing_device",
            "04_1_application_server_subnets_provided",
            "04_2_application_server_list_provided",
            *_COMMON_DEVICE,
            "400.1_schema_not_compliant",
            "400.2_no_request_body",
            "400.3_empty_request_body",
            "400.4_empty_property",
            "400.5_out_of_range_port",
            "400.6_unsupported_sink_credential_type",
            "400.7_sink_credential_invalid_token",
            "400.8_non_existent_qos_profile",
            "400.9_invalid_duration",
            "400.10_invalid_x-correlator",
            "400.11_invalid_application_server",
            "400.12_empty_application_server_list",
            "400.13_application_server_list_is_too_large",
            "400.14_duplicate_values_in_application_server_list",
            "400.15_invalid_values_in_application_server_list",
            "400.16_subnet_in_application_server_list",
            *_COMMON_401,
            "403.1_missing_access_token_scope",
            "409.1_session_conflict",
            "422.1_session_qos_profile_not_applicable",
            "422.2_private_key_jwt_not_configured",
            "429.1_too_many_requests",
        ),
        "getSession": (
            "01_get_existing_session",
            "02_get_recent_unavailable",
            "400.1_invalid_session_id",
            "400.2_invalid_x-correlator",
            *_COMMON_401,
            "403.1_missing_access_token_scope",
            "403.2_session_token_mismatch",
            "404.1_not_found",
            "429.1_too_many_requests",
        ),
        "deleteSession": (
            "01_delete_existing_qod_session",
            "02_event_notification",
            "400.1_invalid_session_id",
            "400.2_invalid_x-correlator",
            *_COMMON_401,
            "403.1_missing_access_token_scope",
            "403.2_session_token_mismatch",
            "404.1_not_found",
            "429.1_too_many_requests",
        ),
        "extendQosSessionDuration": (
            "01_generic_success_scenario",
            "02_exceed_max_duration",
            "400.1_schema_not_compliant",
            "400.2_invalid_session_id",
            "400.3_no_request_body",
            "400.4_empty_request_body",
            "400.5_invalid_x-correlator",
            *_COMMON_401,
            "403.1_missing_access_token_scope",
            "403.2_session_token_mismatch",
            "404.1_not_found",
            "409.1_session_not_available",
            "429.1_too_many_requests",
        ),
        "retrieveSessionsByDevice": (
            "01_get_existing_session_by_device",
            "02_sessions_not_found",
            *_COMMON_DEVICE,
            "400.1_schema_not_compliant",
            "400.2_no_request_body",
            "400.3_invalid_x-correlator",
            *_COMMON_401,
            "403.1_missing_access_token_scope",
            "429.1_too_many_requests",
        ),
    }.items()
    for name in names
)

_LIST = "applicationServer.ipAddresses came with 1.2; to 1.1 it is an unknown property"

NOT_OURS = {
    f"{_PREFIX}createSession_{name}": reason
    for name, reason in {
        "04_2_application_server_list_provided": _LIST,
        "400.11_invalid_application_server": _LIST,
        "400.12_empty_application_server_list": _LIST,
        "400.13_application_server_list_is_too_large": _LIST,
        "400.14_duplicate_values_in_application_server_list": _LIST,
        "400.15_invalid_values_in_application_server_list": _LIST,
        "400.16_subnet_in_application_server_list": _LIST,
        "422.2_private_key_jwt_not_configured": "the credential type PRIVATE_KEY_JWT came with 1.2",
    }.items()
}

# Shown as 1.1.0 has them, where the newest definitions expect a later rule.
AS_IN_1_1 = {
    f"{_PREFIX}{name}": reason
    for name, reason in {
        "createSession_400.6_unsupported_sink_credential_type": "INVALID_CREDENTIAL; later INVALID_ARGUMENT",
        "createSession_400.9_invalid_duration": "QUALITY_ON_DEMAND.DURATION_OUT_OF_RANGE; later another",
        "createSession_02_2_event_received": "the type says quality-on-demand; later qod",
        "deleteSession_02_event_notification": "the type says quality-on-demand; later qod",
        "getSession_01_get_existing_session": "startedAt stays when UNAVAILABLE; later with AVAILABLE alone",
    }.items()
}


def per_operation(name: str, operations: Iterable[str]) -> list[ParameterSet]:
    """One parameter set for each operation that has a scenario of this name."""
    return [pytest.param(operation, id=f"{_PREFIX}{operation}_{name}") for operation in operations]


def shown_by(tests: Mapping[str, object]) -> set[str]:
    """The ids in the docstrings and parameter ids of a module's tests."""
    found: set[str] = set()
    for name, test in list(tests.items()):
        if name.startswith("test_"):
            found |= set(re.findall(rf"{_PREFIX}[\w.-]+[\w]", test.__doc__ or ""))
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "parametrize":
                    found |= {case.id for case in mark.args[1] if getattr(case, "id", None)}
    return found
