"""Every number that bounds a trust file or a grant, each with its reason."""

from typing import Final

# What STS accepts (AssumeRole and AssumeRoleWithWebIdentity).
MIN_DURATION: Final = 900
MAX_DURATION: Final = 43_200
# A function that assumes a role from its own role is chaining, and AWS ends chained sessions there.
MAX_CHAINED_DURATION: Final = 3_600
MIN_NAME_LENGTH: Final = 2
MAX_NAME_LENGTH: Final = 64
MAX_TAGS: Final = 50
MAX_TAG_KEY_LENGTH: Final = 128
MAX_TAG_VALUE_LENGTH: Final = 256
# Inline policy and managed ARNs together, in plain text.
MAX_POLICY_LENGTH: Final = 2_048
MAX_POLICY_ARNS: Final = 10
MIN_ARN_LENGTH: Final = 20
MAX_ARN_LENGTH: Final = 2_048
# IAM's longest role path, both slashes included, and role name.
MAX_ROLE_PATH_LENGTH: Final = 512

# IAM takes no longer provider address, and it is a key of the trust table.
MAX_ISSUER_LENGTH: Final = 255
# Long enough for an address, a GUID or an ARN; short enough to be read by a reviewer.
MAX_AUDIENCE_LENGTH: Final = 512
MAX_AUDIENCES: Final = 100
# Each is one more place that may speak for the issuer.
MAX_JWKS_HOSTS: Final = 10
# The schedule confirms keys every hour. Below three, one run that is missed and one that is late would be
# an outage; above a week, a withdrawn key would live for longer than anybody remembers it.
MIN_KEYS_MAX_AGE: Final = 3 * 3_600
MAX_KEYS_MAX_AGE: Final = 7 * 86_400

# IAM Roles Anywhere's own for the PEM text of a trust anchor.
MAX_BUNDLE_BYTES: Final = 204_800
# A stranger's certificate by an issuer of a name that all of them share makes each one verify a signature:
# with this many on P-384, the slowest, 15 milliseconds. An anchor is also one item, see MAX_ITEM_BYTES.
MAX_AUTHORITIES: Final = 20
# One for each authority below an anchor; the state of each is read in exchanges.
MAX_CRLS: Final = 20
# A file's name and an address are parts of a key of a table, which ends at 2,048 bytes.
MAX_CRL_NAME_LENGTH: Final = 128
MAX_CRL_URL_LENGTH: Final = 1_024
# IAM Roles Anywhere has three fields; nobody maps more parts of a name than a name has.
MAX_SPECIFIERS: Final = 50

# All profiles of a role are one item of the trust table. A function holds hundreds of them compiled
# (three to five times as large), so an item stays far below the 400 KB that DynamoDB takes.
MAX_PROFILES_PER_ROLE: Final = 50
MAX_ITEM_BYTES: Final = 64_000
# A value compiles to some 240 bytes and a pattern, ARN or network to some 1,000, however short it is, so
# all that a role's conditions expect takes some 250 KB; and a token can have it tried on every group it
# has, so this bounds the time as well.
MAX_ROLE_WEIGHT: Final = 1_000
# A user pool is one item that no exchange reads; DynamoDB takes 400 KB with names and keys.
MAX_POOL_BYTES: Final = 350_000
# More would make the role item and every decision on it grow without use.
MAX_CONDITIONS: Final = 50
MAX_CONDITION_VALUES: Final = 200
MAX_VALUE_LENGTH: Final = 1_024
MAX_KEY_LENGTH: Final = 256
MAX_DESCRIPTION_LENGTH: Final = 1_000
MAX_PRIORITY: Final = 1_000_000
MAX_GRANTS_PER_MINUTE: Final = 10_000

# A trust file nests eight deep, a session policy adds four; deeper input only exists to exhaust a stack.
MAX_DEPTH: Final = 32
# What one trace shows of one value: enough to recognise it, and a record stays small by construction.
MAX_SHOWN_LENGTH: Final = 256
MAX_SHOWN_VALUES: Final = 10
# Longest value that a pattern is tried on: every legitimate subject is shorter, and a hostile one
# cannot buy more time than this.
MAX_MATCHED_LENGTH: Final = 4_096
# Larger numbers mean nothing in a trust file, and Python refuses to print very large ones.
MAX_NUMBER_BITS: Final = 64
# What one denial says about one profile that would have allowed it: a record stays small.
MAX_HINT_LENGTH: Final = 1_000
