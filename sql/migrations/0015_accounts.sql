-- migrate:up
-- Accounts and addresses: an account that the host app deletes leaves nobody half linked; an address has one form; and
-- whoever writes takes rows in one order (ARCHITECTURE.md, "Locks").

-- ---------------------------------------------------------------- the one form of an address

-- A domain's label in Unicode; as it is where it is no punycode (RFC 3492), or not of a label in its normal form.
CREATE OR REPLACE FUNCTION trombi_unicode_label(label text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
    basic text := coalesce(substring(substr(label, 5) FROM '^(.*)-[^-]*$'), '');
    coded text := substring(substr(label, 5) FROM '[^-]*$');
    points bigint[] := '{}';
    point bigint := 128;
    place bigint := 0;
    bias bigint := 72;
    before bigint;
    weight bigint;
    base bigint;
    threshold bigint;
    digit bigint;
    at integer := 1;
    decoded text;
BEGIN
    IF label !~ '^xn--[a-z0-9-]+$' THEN
        RETURN label;
    END IF;
    IF basic <> '' THEN
        points := ARRAY(SELECT ascii(letter) FROM string_to_table(basic, NULL) AS letter);
    END IF;
    WHILE at <= length(coded) LOOP
        before := place;
        weight := 1;
        base := 36;
        LOOP
            IF at > length(coded) THEN
                RETURN label;
            END IF;
            digit := position(substr(coded, at, 1) IN 'abcdefghijklmnopqrstuvwxyz0123456789') - 1;
            at := at + 1;
            place := place + digit * weight;
            IF place > 1000000000000 THEN
                RETURN label;
            END IF;
            threshold := least(greatest(base - bias, 1), 26);
            EXIT WHEN digit < threshold;
            weight := weight * (36 - threshold);
            base := base + 36;
        END LOOP;
        -- Adapt the bias to how far it was.
        digit := (place - before) / CASE WHEN before = 0 AND cardinality(points) = length(basic) THEN 700 ELSE 2 END;
        digit := digit + digit / (cardinality(points) + 1);
        bias := 0;
        WHILE digit > 455 LOOP
            digit := digit / 35;
            bias := bias + 36;
        END LOOP;
        bias := bias + 36 * digit / (digit + 38);
        point := point + place / (cardinality(points) + 1);
        place := place % (cardinality(points) + 1);
        IF point > 1114111 OR point BETWEEN 55296 AND 57343 THEN
            RETURN label;
        END IF;
        points := points[1:place] || point || points[place + 1:];
        place := place + 1;
    END LOOP;
    SELECT string_agg(chr(value::integer), '' ORDER BY number) INTO decoded
    FROM unnest(points) WITH ORDINALITY AS listed (value, number);
    RETURN CASE WHEN decoded ~ '[^\x01-\x7f]' AND trombi_folded_address(decoded) = decoded THEN decoded ELSE label END;
END
$$;

-- NFKC in small letters, without what nobody sees and blanks around it. Letters by a table, so that neither the
-- database's locale nor its provider has a say.
CREATE OR REPLACE FUNCTION trombi_folded_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
    folded text := address;
    blank CONSTANT text := E' \t\n\u000b\f\r\u0085\u1680\u2028\u2029';
BEGIN
    IF folded !~ '[^\x01-\x7f]' THEN
        RETURN btrim(lower(folded COLLATE "C"), blank);
    END IF;
    folded := regexp_replace(normalize(folded, NFKC),
        '[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164'
        '\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]'
        '|(?<![\u0600-\u1cff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1cff])', '', 'g');
    folded := lower(replace(replace(folded, E'\u3002', '.'), E'\u0130', E'i\u0307') COLLATE "C");
    folded := translate(folded,
        'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĴĶĹĻĽŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ'
        'ƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƠƢƤƦƧƩƬƮƯƱƲƳƵƷƸƼǍǏǑǓǕǗǙǛǞǠǢǤǦǨǪǬǮǴǶǷǸǺǼǾȀȂȄȆȈȊȌȎȐȒȔȖȘȚȜȞȠȢȤȦȨȪȬȮȰȲȺȻȽȾ'
        'ɁɃɄɅɆɈɊɌɎͰͲͶͿΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙ'
        'КЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮ'
        'ӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳ'
        'ႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅჇჍᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑᏒᏓᏔᏕᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥ'
        'ᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯᏰᏱᏲᏳᏴᏵᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿḀḂḄḆḈḊḌḎḐḒḔḖḘḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶ'
        'ḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨỪỬỮỰỲ'
        'ỴỶỸỺỼỾἈἉἊἋἌἍἎἏἘἙἚἛἜἝἨἩἪἫἬἭἮἯἸἹἺἻἼἽἾἿὈὉὊὋὌὍὙὛὝὟὨὩὪὫὬὭὮὯᾈᾉᾊᾋᾌᾍᾎᾏᾘᾙᾚᾛᾜᾝᾞᾟᾨᾩᾪᾫᾬᾭᾮᾯᾸᾹᾺᾼῈῊῌῘῙῚῨῩ'
        'ῪῬῸῺῼℲↃⰀⰁⰂⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠⰡⰢⰣⰤⰥⰦⰧⰨⰩⰪⰫⰬⰭⰮⰯⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿⲀⲂⲄⲆⲈⲊⲌⲎⲐⲒⲔⲖⲘⲚⲜⲞⲠⲢⲤⲦ'
        'ⲨⲪⲬⲮⲰⲲⲴⲶⲸⲺⲼⲾⳀⳂⳄⳆⳈⳊⳌⳎⳐⳒⳔⳖⳘⳚⳜⳞⳠⳢⳫⳭⳲꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊ'
        'ꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵ𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇𐐈𐐉𐐊𐐋𐐌𐐍𐐎𐐏𐐐𐐑𐐒𐐓𐐔𐐕𐐖𐐗'
        '𐐘𐐙𐐚𐐛𐐜𐐝𐐞𐐟𐐠𐐡𐐢𐐣𐐤𐐥𐐦𐐧𐒰𐒱𐒲𐒳𐒴𐒵𐒶𐒷𐒸𐒹𐒺𐒻𐒼𐒽𐒾𐒿𐓀𐓁𐓂𐓃𐓄𐓅𐓆𐓇𐓈𐓉𐓊𐓋𐓌𐓍𐓎𐓏𐓐𐓑𐓒𐓓𐕰𐕱𐕲𐕳𐕴𐕵𐕶𐕷𐕸𐕹𐕺𐕼𐕽𐕾𐕿𐖀𐖁𐖂𐖃𐖄𐖅𐖆𐖇𐖈𐖉𐖊𐖌𐖍𐖎𐖏𐖐𐖑𐖒𐖔𐖕𐲀𐲁𐲂'
        '𐲃𐲄𐲅𐲆𐲇𐲈𐲉𐲊𐲋𐲌𐲍𐲎𐲏𐲐𐲑𐲒𐲓𐲔𐲕𐲖𐲗𐲘𐲙𐲚𐲛𐲜𐲝𐲞𐲟𐲠𐲡𐲢𐲣𐲤𐲥𐲦𐲧𐲨𐲩𐲪𐲫𐲬𐲭𐲮𐲯𐲰𐲱𐲲𑢠𑢡𑢢𑢣𑢤𑢥𑢦𑢧𑢨𑢩𑢪𑢫𑢬𑢭𑢮𑢯𑢰𑢱𑢲𑢳𑢴𑢵𑢶𑢷𑢸𑢹𑢺𑢻𑢼𑢽𑢾𑢿𖹀𖹁𖹂𖹃𖹄𖹅𖹆𖹇𖹈𖹉'
        '𖹊𖹋𖹌𖹍𖹎𖹏𖹐𖹑𖹒𖹓𖹔𖹕𖹖𖹗𖹘𖹙𖹚𖹛𖹜𖹝𖹞𖹟𞤀𞤁𞤂𞤃𞤄𞤅𞤆𞤇𞤈𞤉𞤊𞤋𞤌𞤍𞤎𞤏𞤐𞤑𞤒𞤓𞤔𞤕𞤖𞤗𞤘𞤙𞤚𞤛𞤜𞤝𞤞𞤟𞤠𞤡',
        'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĵķĺļľłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżž'
        'ɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵơƣƥʀƨʃƭʈưʊʋƴƶʒƹƽǎǐǒǔǖǘǚǜǟǡǣǥǧǩǫǭǯǵƕƿǹǻǽǿȁȃȅȇȉȋȍȏȑȓȕȗșțȝȟƞȣȥȧȩȫȭȯȱȳⱥȼƚⱦ'
        'ɂƀʉʌɇɉɋɍɏͱͳͷϳάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽѐёђѓєѕіїјљњћќѝўџабвгдежзий'
        'клмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯ'
        'ӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓ'
        'ⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥⴧⴭꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡꮢꮣꮤꮥꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵ'
        'ꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿᏸᏹᏺᏻᏼᏽაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿḁḃḅḇḉḋḍḏḑḓḕḗḙḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷ'
        'ḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳ'
        'ỵỷỹỻỽỿἀἁἂἃἄἅἆἇἐἑἒἓἔἕἠἡἢἣἤἥἦἧἰἱἲἳἴἵἶἷὀὁὂὃὄὅὑὓὕὗὠὡὢὣὤὥὦὧᾀᾁᾂᾃᾄᾅᾆᾇᾐᾑᾒᾓᾔᾕᾖᾗᾠᾡᾢᾣᾤᾥᾦᾧᾰᾱὰᾳὲὴῃῐῑὶῠῡ'
        'ὺῥὸὼῳⅎↄⰰⰱⰲⰳⰴⰵⰶⰷⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱉⱊⱋⱌⱍⱎⱏⱐⱑⱒⱓⱔⱕⱖⱗⱘⱙⱚⱛⱜⱝⱞⱟⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀⲁⲃⲅⲇⲉⲋⲍⲏⲑⲓⲕⲗⲙⲛⲝⲟⲡⲣⲥⲧ'
        'ⲩⲫⲭⲯⲱⲳⲵⲷⲹⲻⲽⲿⳁⳃⳅⳇⳉⳋⳍⳏⳑⳓⳕⳗⳙⳛⳝⳟⳡⳣⳬⳮⳳꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋ'
        'ꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶ𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷𐐸𐐹𐐺𐐻𐐼𐐽𐐾𐐿'
        '𐑀𐑁𐑂𐑃𐑄𐑅𐑆𐑇𐑈𐑉𐑊𐑋𐑌𐑍𐑎𐑏𐓘𐓙𐓚𐓛𐓜𐓝𐓞𐓟𐓠𐓡𐓢𐓣𐓤𐓥𐓦𐓧𐓨𐓩𐓪𐓫𐓬𐓭𐓮𐓯𐓰𐓱𐓲𐓳𐓴𐓵𐓶𐓷𐓸𐓹𐓺𐓻𐖗𐖘𐖙𐖚𐖛𐖜𐖝𐖞𐖟𐖠𐖡𐖣𐖤𐖥𐖦𐖧𐖨𐖩𐖪𐖫𐖬𐖭𐖮𐖯𐖰𐖱𐖳𐖴𐖵𐖶𐖷𐖸𐖹𐖻𐖼𐳀𐳁𐳂'
        '𐳃𐳄𐳅𐳆𐳇𐳈𐳉𐳊𐳋𐳌𐳍𐳎𐳏𐳐𐳑𐳒𐳓𐳔𐳕𐳖𐳗𐳘𐳙𐳚𐳛𐳜𐳝𐳞𐳟𐳠𐳡𐳢𐳣𐳤𐳥𐳦𐳧𐳨𐳩𐳪𐳫𐳬𐳭𐳮𐳯𐳰𐳱𐳲𑣀𑣁𑣂𑣃𑣄𑣅𑣆𑣇𑣈𑣉𑣊𑣋𑣌𑣍𑣎𑣏𑣐𑣑𑣒𑣓𑣔𑣕𑣖𑣗𑣘𑣙𑣚𑣛𑣜𑣝𑣞𑣟𖹠𖹡𖹢𖹣𖹤𖹥𖹦𖹧𖹨𖹩'
        '𖹪𖹫𖹬𖹭𖹮𖹯𖹰𖹱𖹲𖹳𖹴𖹵𖹶𖹷𖹸𖹹𖹺𖹻𖹼𖹽𖹾𖹿𞤢𞤣𞤤𞤥𞤦𞤧𞤨𞤩𞤪𞤫𞤬𞤭𞤮𞤯𞤰𞤱𞤲𞤳𞤴𞤵𞤶𞤷𞤸𞤹𞤺𞤻𞤼𞤽𞤾𞤿𞥀𞥁𞥂𞥃');
    RETURN btrim(normalize(folded, NFKC), blank);
END
$$;

-- The form in which addresses are kept and compared: shared/mailbox.py's normal_address.
CREATE OR REPLACE FUNCTION trombi_address(address text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
    folded text := trombi_folded_address(address);
    parts text[] := regexp_match(folded, '^(.*)@([^@]*)$');
    domain text := regexp_replace(parts[2], '\.$', '');
BEGIN
    IF parts IS NULL THEN
        RETURN folded;
    END IF;
    IF position('xn--' IN domain) > 0 THEN
        domain := (SELECT string_agg(trombi_unicode_label(label), '.' ORDER BY number)
            FROM string_to_table(domain, '.') WITH ORDINALITY AS listed (label, number));
    END IF;
    RETURN parts[1] || '@' || domain;
END
$$;

-- The host app spells its users' addresses as it likes: they are compared in the one form, through this index.
DROP INDEX IF EXISTS users_email_idx;
CREATE INDEX IF NOT EXISTS users_address_idx ON users (trombi_address(email));

-- Trombi's own columns hold no other form, whoever writes them: an undo may put an older spelling back.
CREATE OR REPLACE FUNCTION trombi_normalise_address() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.email := trombi_address(NEW.email);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF email ON invitations
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_address();

-- Whose the person was until their account was deleted, for a purge that comes after it: SHA-256 of the person's id and
-- the user's, so that nobody is named. Forgotten when the person is somebody again.
ALTER TABLE face_persons ADD COLUMN IF NOT EXISTS former_user_hash bytea;
CREATE OR REPLACE FUNCTION trombi_user_hash(person_id uuid, user_id uuid) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN sha256(uuid_send(person_id) || uuid_send(user_id));

CREATE OR REPLACE FUNCTION trombi_normalise_person() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.invitation_email := trombi_address(NEW.invitation_email);
    IF NEW.status = 'linked' THEN
        NEW.former_user_hash := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trombi_normalise BEFORE INSERT OR UPDATE OF invitation_email, status ON face_persons
    FOR EACH ROW EXECUTE FUNCTION trombi_normalise_person();

UPDATE invitations SET email = email WHERE email <> trombi_address(email);
UPDATE face_persons SET invitation_email = invitation_email WHERE invitation_email <> trombi_address(invitation_email);

-- Whether a JSON text holds one of the addresses, in whatever spelling.
CREATE OR REPLACE FUNCTION trombi_holds_address(content text, addresses text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = public, pg_temp AS $$
    SELECT cardinality(addresses) > 0 AND EXISTS (
        SELECT FROM regexp_matches(content, '[^[:space:]"\\<>(),;:]+[@＠﹫][^[:space:]"\\<>(),;:]+', 'g') AS found
        WHERE trombi_address(found[1]) = ANY(addresses)
    )
$$;

-- ---------------------------------------------------------------- the order of locks

-- Before an event's counters are locked: the rows above them in the order, which foreign keys would lock after them.
-- The users (given, and linked to the persons), the event, the photos of the persons and faces. Each in the order of
-- its ids, and no more than a foreign key does: two who only refer to a row do not wait for each other.
CREATE OR REPLACE FUNCTION trombi_hold_rows(of_event uuid, user_list uuid[], person_list uuid[], face_list uuid[])
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    all_persons uuid[] := person_list || ARRAY(
        SELECT face_person_id FROM faces WHERE id = ANY(face_list) AND face_person_id IS NOT NULL);
    all_users uuid[] := user_list || ARRAY(
        SELECT linked_user_id FROM face_persons WHERE id = ANY(all_persons) AND linked_user_id IS NOT NULL);
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, user_list[1]);
    PERFORM 1 FROM users WHERE id = ANY(all_users) ORDER BY id FOR KEY SHARE;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM media WHERE id IN (
        SELECT media_id FROM faces
        WHERE event_id = of_event AND (face_person_id = ANY(all_persons) OR id = ANY(face_list))
    ) ORDER BY id FOR KEY SHARE;
END
$$;

-- A deleted photo takes its faces along, which whoever holds the counters may be writing. Named to come before the
-- triggers of the foreign keys ("RI_..."), after the rows of all photos of the statement are locked.
CREATE OR REPLACE FUNCTION trombi_lock_counters_of_deleted_photo() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM event_counters WHERE event_id = OLD.event_id FOR NO KEY UPDATE;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER "Before_RI_trombi_lock_counters" AFTER DELETE ON media
    FOR EACH ROW EXECUTE FUNCTION trombi_lock_counters_of_deleted_photo();

-- ---------------------------------------------------------------- an account is deleted

CREATE INDEX IF NOT EXISTS decisions_users_idx ON decisions USING gin (user_ids);
CREATE INDEX IF NOT EXISTS biometric_reads_subject_idx ON biometric_reads (subject_id);
ALTER TABLE purge_receipts DROP CONSTRAINT IF EXISTS purge_receipts_reason_check;
ALTER TABLE purge_receipts ADD CONSTRAINT purge_receipts_reason_check CHECK (
    reason IN ('purge', 'archive', 'consent', 'retention', 'event_deleted', 'account_deleted'));

-- What an event holds on a user whose account is going. Their persons are nobody's again, as before the link: undecided,
-- to be clustered again. Tags go, also those made by hand; so does the invitation that they answered with "it's me".
-- Decisions lose whom they were about, so that no undo brings the user back. An invitation to their address that is open
-- or was declined is about the address, not the account, and stays.
CREATE OR REPLACE FUNCTION trombi_forget_account(of_event uuid, of_user uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    person_list uuid[];
    invitation_list uuid[];
    addresses text[];
    n integer;
    counts jsonb;
BEGIN
    person_list := ARRAY(
        SELECT id FROM face_persons
        WHERE event_id = of_event AND linked_user_id = of_user AND status = 'linked' ORDER BY id FOR NO KEY UPDATE);
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL), '{}')
    INTO invitation_list, addresses
    FROM invitations WHERE face_person_id = ANY(person_list) AND answer = 'accepted';
    addresses := ARRAY(SELECT address FROM unnest(addresses) AS address WHERE NOT EXISTS (
        SELECT FROM face_persons WHERE event_id = of_event AND invitation_email = address));

    UPDATE face_persons SET status = 'pending', linked_user_id = NULL, version = version + 1, updated_at = now(),
        former_user_hash = trombi_user_hash(id, of_user),
        -- The link no longer counts as something that people said of the person.
        metadata = CASE WHEN metadata ? 'manual_edits' THEN metadata || jsonb_build_object('manual_edits', greatest(0,
            (metadata ->> 'manual_edits')::integer - (
                SELECT count(*) FROM decisions
                WHERE event_id = of_event AND kind IN ('link', 'invite', 'accept') AND undone_by IS NULL
                    AND face_persons.id = ANY(person_ids)
            ))) ELSE metadata END
    WHERE id = ANY(person_list);
    UPDATE face_persons SET linked_user_id = NULL WHERE event_id = of_event AND linked_user_id = of_user;

    DELETE FROM media_tags USING media
    WHERE media.id = media_tags.media_id AND media.event_id = of_event AND tagged_user_id = of_user;
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := jsonb_build_object('tags', n);
    -- Faces are suggested for somebody; clustering asks anew.
    DELETE FROM face_suggestions WHERE face_person_id = ANY(person_list);
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('suggestions', n, 'invitations', cardinality(invitation_list),
        'decisions', trombi_forget_in_decisions(of_event, invitation_list, of_user, addresses));
    PERFORM trombi_forget_in_reads(of_event, invitation_list || of_user);
    DELETE FROM idempotency_keys
    WHERE event_id = of_event AND answer IS NOT NULL AND (
        trombi_holds_address(answer::text, addresses)
        OR EXISTS (SELECT FROM trombi_words(answer::text) AS word
            WHERE word IN (SELECT unnest(invitation_list || of_user)::text)));
    DELETE FROM invitations WHERE id = ANY(invitation_list);

    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    IF cardinality(person_list) > 0 THEN
        UPDATE event_counters SET changed_photos = changed_photos + 1,
            first_change_at = coalesce(first_change_at, clock_timestamp())
        WHERE event_id = of_event
            AND EXISTS (SELECT FROM events WHERE id = of_event AND face_recognition_enabled AND archived_at IS NULL);
    END IF;
    IF EXISTS (SELECT FROM jsonb_each_text(counts) WHERE value <> '0') THEN
        PERFORM trombi_give_receipt(of_event, 'account_deleted', counts, '{}');
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION trombi_forget_deleted_account() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    event_list uuid[] := ARRAY(
        SELECT event_id FROM face_persons WHERE linked_user_id = OLD.id
        UNION SELECT event_id FROM decisions WHERE user_ids @> ARRAY[OLD.id]
        UNION SELECT media.event_id FROM media_tags JOIN media ON media.id = media_id WHERE tagged_user_id = OLD.id
        UNION SELECT event_id FROM biometric_reads WHERE subject_id = OLD.id);
    of_event uuid;
BEGIN
    event_list := ARRAY(SELECT id FROM events WHERE id = ANY(event_list) ORDER BY id FOR KEY SHARE);
    PERFORM 1 FROM event_counters WHERE event_id = ANY(event_list) ORDER BY event_id FOR NO KEY UPDATE;
    FOREACH of_event IN ARRAY event_list LOOP
        PERFORM trombi_forget_account(of_event, OLD.id);
    END LOOP;
    DELETE FROM idempotency_keys WHERE caller = OLD.id::text AND answer IS NOT NULL;
    RETURN NULL;
END
$$;
-- After the rows of all accounts of the statement are locked, and before the foreign keys ("RI_...") set anything to
-- null; also where the host app's account goes by a cascade of its own.
CREATE OR REPLACE TRIGGER "Before_RI_trombi_forget_account" AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION trombi_forget_deleted_account();

-- Accounts that were deleted before there was this trigger.
DO $$
DECLARE ghost record;
BEGIN
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id IN (
        SELECT event_id FROM face_persons WHERE status = 'linked' AND linked_user_id IS NULL);
    UPDATE face_persons SET status = 'pending', version = version + 1, updated_at = now()
    WHERE status = 'linked' AND linked_user_id IS NULL;
    FOR ghost IN
        SELECT DISTINCT event_id, user_id FROM decisions, unnest(user_ids) AS user_id
        WHERE inverse IS NOT NULL AND NOT EXISTS (SELECT FROM users WHERE users.id = user_id)
    LOOP
        PERFORM trombi_forget_in_decisions(ghost.event_id, '{}', ghost.user_id, '{}');
    END LOOP;
END
$$;

-- ---------------------------------------------------------------- purge, export

-- The persons of somebody: linked to the account (also to one that was deleted, as long as the person is nobody
-- else's), invited by the address, or named; with all that was merged into them.
CREATE OR REPLACE FUNCTION trombi_persons_of(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS uuid[] LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH RECURSIVE theirs AS (
        SELECT id FROM face_persons
        WHERE event_id = of_event AND status <> 'merged' AND (
            linked_user_id = of_user OR invitation_email = ANY(addresses) OR id = of_person
            OR (status <> 'linked' AND (
                former_user_hash = trombi_user_hash(id, of_user) OR EXISTS (
                    SELECT FROM face_persons AS gone
                    WHERE gone.merged_into_id = face_persons.id
                        AND gone.former_user_hash = trombi_user_hash(gone.id, of_user)
                )
            ))
        )
        UNION
        SELECT face_persons.id FROM face_persons JOIN theirs ON face_persons.merged_into_id = theirs.id
    )
    SELECT coalesce(array_agg(id), '{}') FROM theirs
$$;

-- The rows above the counters in the order of locks, for a purge: an account that Trombi made may be deleted in the end.
-- False where there is no such event (any more).
CREATE OR REPLACE FUNCTION trombi_hold_for_erasure(of_event uuid, of_user uuid, of_person uuid, addresses text[])
    RETURNS boolean LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    person_list uuid[] := trombi_persons_of(of_event, of_user, of_person, addresses);
    face_list uuid[] := ARRAY(
        SELECT face_id FROM media_tags JOIN media ON media.id = media_id
        WHERE media.event_id = of_event AND tagged_user_id = of_user AND face_id IS NOT NULL);
BEGIN
    IF obj_description('users'::regclass) = 'made by Trombi' THEN
        PERFORM 1 FROM users WHERE id = of_user AND made_by_invitation FOR UPDATE;
    END IF;
    PERFORM trombi_hold_rows(of_event, ARRAY[of_user], person_list, face_list);
    RETURN EXISTS (SELECT FROM events WHERE id = of_event);
END
$$;

CREATE OR REPLACE FUNCTION purge_face_data_for_user(purged_user uuid, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    addresses text[];
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, purged_user);
    addresses := ARRAY(SELECT trombi_address(email) FROM users WHERE id = purged_user AND email <> '');
    IF NOT trombi_hold_for_erasure(of_event, purged_user, NULL, addresses) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    RETURN trombi_erase(of_event, purged_user, NULL, addresses);
END
$$;

CREATE OR REPLACE FUNCTION purge_face_data_for_person(purged_person uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    survivor face_persons;
    addresses text[];
BEGIN
    WITH RECURSIVE upwards AS (
        SELECT * FROM face_persons WHERE id = purged_person
        UNION
        SELECT face_persons.* FROM face_persons JOIN upwards ON face_persons.id = upwards.merged_into_id
    )
    SELECT * INTO survivor FROM upwards WHERE status <> 'merged';
    IF survivor.id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM trombi_require_self_or_organiser(survivor.event_id, survivor.linked_user_id);
    addresses := ARRAY(
        SELECT address FROM (
            SELECT survivor.invitation_email AS address
            UNION
            SELECT trombi_address(email) FROM users WHERE id = survivor.linked_user_id
        ) AS known WHERE address <> ''
    );
    IF NOT trombi_hold_for_erasure(survivor.event_id, survivor.linked_user_id, survivor.id, addresses) THEN
        RETURN NULL;
    END IF;
    RETURN trombi_erase(survivor.event_id, survivor.linked_user_id, survivor.id, addresses);
END
$$;

CREATE OR REPLACE FUNCTION purge_face_data_for_address(purged_address text, of_event uuid) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    address text := trombi_address(purged_address);
    accounts uuid[];
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, NULL);
    accounts := ARRAY(SELECT id FROM users WHERE trombi_address(email) = address LIMIT 2);
    IF cardinality(accounts) <> 1 THEN
        accounts := '{NULL}';
    END IF;
    IF address = '' OR NOT trombi_hold_for_erasure(of_event, accounts[1], NULL, ARRAY[address]) THEN
        RETURN trombi_empty_receipt(of_event);
    END IF;
    RETURN trombi_erase(of_event, accounts[1], NULL, ARRAY[address]);
END
$$;

CREATE OR REPLACE FUNCTION trombi_concerns(of_user uuid, of_event uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM event_members WHERE event_id = of_event AND user_id = of_user)
        OR EXISTS (SELECT FROM face_persons WHERE event_id = of_event AND linked_user_id = of_user)
        OR EXISTS (SELECT FROM media_tags JOIN media ON media.id = media_id
            WHERE media.event_id = of_event AND tagged_user_id = of_user)
        OR EXISTS (SELECT FROM invitations JOIN users ON trombi_address(users.email) = invitations.email
            WHERE invitations.event_id = of_event AND users.id = of_user)
$$;

-- As in 0009, but for the address's form.
CREATE OR REPLACE FUNCTION trombi_export(of_user uuid, of_event uuid, embeddings boolean) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    is_own boolean := trombi_user_id() IS NULL OR trombi_user_id() = of_user;
    account users;
    address text;
    person_list uuid[];
    face_list uuid[];
    result jsonb;
BEGIN
    PERFORM trombi_require_self_or_organiser(of_event, of_user);
    SELECT * INTO account FROM users WHERE id = of_user;
    address := trombi_address(account.email);
    IF account.id IS NULL OR NOT is_own AND NOT trombi_concerns(of_user, of_event) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO person_list FROM (
        SELECT unnest(trombi_persons_of(events.id, of_user, NULL, ARRAY[address])) AS id FROM events
        WHERE (of_event IS NULL OR events.id = of_event) AND (
            EXISTS (SELECT FROM face_persons WHERE event_id = events.id
                AND (linked_user_id = of_user OR invitation_email = address))
        )
    ) AS found;
    SELECT coalesce(array_agg(DISTINCT id), '{}') INTO face_list FROM (
        SELECT id FROM faces WHERE face_person_id = ANY(person_list)
        UNION
        SELECT unnest(trombi_faces_of(media.event_id, of_user, '{}')) FROM media_tags
        JOIN media ON media.id = media_tags.media_id
        WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)
    ) AS found;
    result := jsonb_build_object(
        'exported_at', clock_timestamp(),
        'account', jsonb_build_object('id', account.id, 'display_name', account.display_name,
            'created_at', account.created_at) || CASE WHEN is_own
                THEN jsonb_build_object('email', account.email) ELSE '{}' END,
        'memberships', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'event_name', events.name,
                'role', role) ORDER BY event_id), '[]')
            FROM event_members JOIN events ON events.id = event_id
            WHERE user_id = of_user AND (of_event IS NULL OR event_id = of_event)),
        'persons', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'status', status,
                'merged_into_id', merged_into_id, 'invitation_email', invitation_email, 'created_at', created_at,
                'updated_at', updated_at) ORDER BY created_at, id), '[]')
            FROM face_persons WHERE id = ANY(person_list)),
        'faces', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', faces.id, 'event_id', faces.event_id,
                'media_id', media_id, 'photo', media.object_name, 'person_id', face_person_id, 'bbox', bbox,
                'quality_score', quality_score, 'size_px', size_px, 'sharpness', sharpness, 'yaw', yaw,
                'pitch', pitch, 'roll', roll, 'placed_by_human', placed_by_human, 'thumbnail', thumbnail_object,
                'created_at', faces.created_at, 'updated_at', faces.updated_at)
                || CASE WHEN is_own AND embeddings THEN jsonb_build_object('embedding_model', embedding_model,
                    'embedding', to_jsonb(embedding::real[]), 'landmarks', landmarks) ELSE '{}' END
                ORDER BY faces.created_at, faces.id), '[]')
            FROM faces JOIN media ON media.id = media_id WHERE faces.id = ANY(face_list)),
        'tags', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', media.event_id, 'media_id', media.id,
                'photo', media.object_name, 'source', source, 'bbox', media_tags.bbox, 'face_id', face_id,
                'created_at', media_tags.created_at) ORDER BY media_tags.created_at, media.id), '[]')
            FROM media_tags JOIN media ON media.id = media_id
            WHERE tagged_user_id = of_user AND (of_event IS NULL OR media.event_id = of_event)),
        'suggestions', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', faces.event_id,
                'media_id', media_id, 'face_id', face_id, 'score', score) ORDER BY score DESC, face_id), '[]')
            FROM face_suggestions JOIN faces ON faces.id = face_id
            WHERE face_suggestions.face_person_id = ANY(person_list)),
        'invitations', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id,
                'person_id', face_person_id, 'email', email, 'message', message, 'language', language,
                'created_at', created_at, 'sent_at', sent_at, 'expires_at', expires_at, 'answer', answer,
                'answered_at', answered_at) ORDER BY created_at, id), '[]')
            FROM invitations WHERE (email = address OR face_person_id = ANY(person_list))
                AND (of_event IS NULL OR event_id = of_event)),
        'decisions', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'event_id', event_id, 'kind', kind,
                'made_by_you', coalesce(actor_id = of_user, false), 'undone', undone_by IS NOT NULL,
                'created_at', created_at) ORDER BY created_at, id), '[]')
            FROM decisions WHERE (of_event IS NULL OR event_id = of_event)
                AND (actor_id = of_user OR of_user = ANY(user_ids) OR person_ids && person_list
                    OR face_ids && face_list)),
        'consents', (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'enabled', enabled,
                'text_version', text_version, 'at', at) ORDER BY at, id), '[]')
            FROM event_consents WHERE actor_id = of_user AND (of_event IS NULL OR event_id = of_event))
    );
    IF is_own THEN
        result := result || jsonb_build_object('reads', (
            SELECT coalesce(jsonb_agg(jsonb_build_object('day', day, 'event_id', event_id, 'what', what,
                'reads', reads, 'by', CASE WHEN actor = of_user::text THEN 'you'
                    WHEN actor IN ('service', 'invitation') THEN actor ELSE 'an organiser' END)
                ORDER BY day, event_id, what), '[]')
            FROM (
                SELECT day, event_id, what, actor, sum(reads) AS reads FROM biometric_reads
                WHERE subject_id = ANY(person_list || face_list || of_user)
                    AND (of_event IS NULL OR event_id = of_event)
                GROUP BY day, event_id, what, actor
            ) AS summed
        ));
    END IF;
    RETURN result;
END
$$;

-- ---------------------------------------------------------------- retention: the event before its counters

CREATE OR REPLACE FUNCTION erase_biometrics_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    face_list uuid[];
    prefixes text[];
BEGIN
    SELECT event_id INTO of_event FROM faces
    WHERE created_at < clock_timestamp() - age
        AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
    ORDER BY created_at LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(id), '{}'), coalesce(array_agg(thumbnail_object) FILTER (
        WHERE thumbnail_object IS NOT NULL), '{}') INTO face_list, prefixes
    FROM (
        SELECT id, thumbnail_object FROM faces
        WHERE event_id = of_event AND created_at < clock_timestamp() - age
            AND (embedding IS NOT NULL OR landmarks IS NOT NULL OR thumbnail_object IS NOT NULL)
        ORDER BY created_at LIMIT most
    ) AS old;
    IF cardinality(face_list) = 0 THEN
        RETURN 0;
    END IF;
    PERFORM trombi_give_receipt(of_event, 'retention', trombi_strip_faces(of_event, face_list), prefixes);
    RETURN cardinality(face_list);
END
$$;

CREATE OR REPLACE FUNCTION erase_addresses_older_than(age interval, most integer) RETURNS integer
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    of_event uuid;
    old uuid[];
    addresses text[];
BEGIN
    SELECT event_id INTO of_event FROM invitations
    WHERE (email IS NOT NULL OR message IS NOT NULL) AND coalesce(answered_at, expires_at) < clock_timestamp() - age
    ORDER BY coalesce(answered_at, expires_at) LIMIT 1;
    IF of_event IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM 1 FROM events WHERE id = of_event FOR KEY SHARE;
    PERFORM 1 FROM event_counters WHERE event_id = of_event FOR NO KEY UPDATE;
    SELECT array_agg(id), array_agg(DISTINCT email) FILTER (WHERE email IS NOT NULL) INTO old, addresses
    FROM (
        SELECT id, email FROM invitations
        WHERE event_id = of_event AND (email IS NOT NULL OR message IS NOT NULL)
            AND coalesce(answered_at, expires_at) < clock_timestamp() - age
        ORDER BY created_at LIMIT most
    ) AS found;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    UPDATE invitations SET email = NULL, message = NULL WHERE id = ANY(old);
    -- An address that was written to again since stays with the newer invitation.
    addresses := ARRAY(
        SELECT address FROM unnest(addresses) AS address
        WHERE NOT EXISTS (SELECT FROM invitations WHERE event_id = of_event AND email = address)
    );
    UPDATE face_persons SET status = 'pending', invitation_email = NULL, version = version + 1, updated_at = now()
    WHERE event_id = of_event AND invitation_email = ANY(addresses);
    PERFORM trombi_forget_in_decisions(of_event, '{}', NULL, addresses);
    UPDATE event_counters SET decision_version = decision_version + 1 WHERE event_id = of_event;
    RETURN cardinality(old);
END
$$;

-- ---------------------------------------------------------------- rights

DO $$
DECLARE
    name text;
    of_role text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'trombi_normalise_address()', 'trombi_normalise_person()', 'trombi_user_hash(uuid, uuid)',
        'trombi_hold_rows(uuid, uuid[], uuid[], uuid[])', 'trombi_lock_counters_of_deleted_photo()',
        'trombi_forget_account(uuid, uuid)', 'trombi_forget_deleted_account()',
        'trombi_hold_for_erasure(uuid, uuid, uuid, text[])'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR of_role IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', name, of_role);
        END LOOP;
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION trombi_hold_rows(uuid, uuid[], uuid[], uuid[]) TO trombi_reviewer;
-- trombi_address and its parts stay everybody's: whoever writes the host app's users keeps their index.

-- migrate:down
