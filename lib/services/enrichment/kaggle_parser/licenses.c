/* The table of licences: what `view`, `list` and Meta Kaggle show, and the id that `metadata` uses
 * for it.  Names without an id (World Bank, Reddit) are not here and stay as they are. */

#include "lib/services/enrichment/kaggle_parser/licenses.h"

struct license_name {
    struct str name;
    struct str id;
};

/* clang-format off */
static const struct license_name license_names[] = {
    {STR_INIT("CC0: Public Domain"), STR_INIT("CC0-1.0")},
    {STR_INIT("CC BY-SA 4.0"), STR_INIT("CC-BY-SA-4.0")},
    {STR_INIT("CC BY-SA 3.0"), STR_INIT("CC-BY-SA-3.0")},
    {STR_INIT("CC BY-NC-SA 4.0"), STR_INIT("CC-BY-NC-SA-4.0")},
    {STR_INIT("Attribution 4.0 International (CC BY 4.0)"), STR_INIT("CC-BY-4.0")},
    {STR_INIT("Attribution 3.0 Unported (CC BY 3.0)"), STR_INIT("CC-BY-3.0")},
    {STR_INIT("Attribution 3.0 IGO (CC BY 3.0 IGO)"), STR_INIT("CC-BY-3.0-IGO")},
    {STR_INIT("Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)"),
     STR_INIT("CC-BY-NC-4.0")},
    {STR_INIT("Attribution-NonCommercial-NoDerivatives 4.0 International (CC BY-NC-ND 4.0)"),
     STR_INIT("CC-BY-NC-ND-4.0")},
    {STR_INIT("Attribution-NoDerivatives 4.0 International (CC BY-ND 4.0)"),
     STR_INIT("CC-BY-ND-4.0")},
    {STR_INIT("Attribution-NonCommercial-ShareAlike 3.0 IGO (CC BY-NC-SA 3.0 IGO)"),
     STR_INIT("CC-BY-NC-SA-3.0-IGO")},
    {STR_INIT("Database: Open Database, Contents: \xC2\xA9 Original Authors"),
     STR_INIT("ODbL-1.0")},
    {STR_INIT("Database: Open Database, Contents: Database Contents"), STR_INIT("DbCL-1.0")},
    {STR_INIT("ODC Attribution License (ODC-By)"), STR_INIT("ODC-BY-1.0")},
    {STR_INIT("ODC Public Domain Dedication and Licence (PDDL)"), STR_INIT("PDDL")},
    {STR_INIT("Community Data License Agreement - Permissive - Version 1.0"),
     STR_INIT("CDLA-Permissive-1.0")},
    {STR_INIT("Community Data License Agreement - Sharing - Version 1.0"),
     STR_INIT("CDLA-Sharing-1.0")},
    {STR_INIT("GPL 2"), STR_INIT("GPL-2.0")},
    {STR_INIT("GPL 3"), STR_INIT("GPL-3.0")},
    {STR_INIT("GNU Lesser General Public License 3.0"), STR_INIT("LGPL-3.0")},
    {STR_INIT("GNU Affero General Public License 3.0"), STR_INIT("AGPL-3.0")},
    {STR_INIT("GNU Free Documentation License 1.3"), STR_INIT("FDL-1.3")},
    {STR_INIT("Apache 2.0"), STR_INIT("apache-2.0")},
    {STR_INIT("MIT"), STR_INIT("MIT")},
    {STR_INIT("U.S. Government Works"), STR_INIT("US-Government-Works")},
    {STR_INIT("EU ODP Legal Notice"), STR_INIT("EU-ODP-Legal-Notice")},
    {STR_INIT("Data files \xC2\xA9 Original Authors"), STR_INIT("copyright-authors")},
    {STR_INIT("Other (specified in description)"), STR_INIT("other")},
    {STR_INIT("Unknown"), STR_INIT("unknown")},
};
/* clang-format on */

struct str
kaggle_license_id(struct str name)
{
    struct str wanted = str_trim(name);

    for (size_t i = 0; i < COUNT_OF(license_names); i++) {
        if (str_equal_ignore_case(wanted, license_names[i].name))
            return license_names[i].id;
    }
    return wanted;
}
